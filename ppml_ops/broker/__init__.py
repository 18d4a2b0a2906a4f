"""The key broker: releases keys against evidence, policy and job ticket, and records every decision."""
