"""merge (orchestrator): the gathered parts become the result's next version, published create-only."""

from ppml_ops.datasets.manifest import Manifest
from ppml_ops.datasets.topology import assemble
from ppml_ops.errors import ConfigError
from ppml_ops.lifecycle.gather import incoming, result_manifest
from ppml_ops.lifecycle.run import Run
from ppml_ops.receipts.records import Facts


def merge(run: Run, facts: Facts) -> Manifest:
    """Publish the result. Publishing it again changes nothing.

    Raises:
        ConfigError: a node was not gathered for this generation.
        IntegrityError: a part is missing.
        DataError: another run published this version meanwhile.
    """
    done = run.records.facts("submit")
    for node in done["nodes"]:
        if run.records.facts("gather", node)["generation"] != done["generation"]:
            raise ConfigError(
                f"node {node} was gathered for another generation than {done['generation']}",
                next_step="clear `gather`",
            )
    manifest = result_manifest(run)
    store = run.dataset(manifest.dataset)
    homes = [incoming(run, manifest.dataset, str(done["generation"]), node) for node in done["nodes"]]
    assemble(homes, manifest, store)
    store.folder.remove(f"_incoming/{done['generation']}")
    facts.update(
        ticket=done["ticket"],
        dataset=manifest.dataset,
        version=manifest.version,
        manifest_digest=manifest.digest,
        parts=len(manifest.parts),
        sealed_bytes=sum(part.length for part in manifest.parts),
    )
    return manifest
