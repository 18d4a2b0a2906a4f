"""What a run leaves behind as proof: one record per stage, and the receipt that judges them."""
