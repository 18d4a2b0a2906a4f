"""merge (orchestrator): the gathered parts become the results' next versions, published create-only."""

from ppml_ops.datasets.manifest import Manifest
from ppml_ops.datasets.topology import assemble
from ppml_ops.errors import ConfigError
from ppml_ops.lifecycle.gather import home_of, result_manifests
from ppml_ops.lifecycle.generations import submitted_generation
from ppml_ops.lifecycle.run import Run
from ppml_ops.receipts.records import Facts


def merge(run: Run, facts: Facts) -> list[Manifest]:
    """Publish the results. Publishing them again changes nothing.

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
    manifests, generation = result_manifests(run), submitted_generation(run)
    for manifest in manifests:
        store = run.dataset(manifest.dataset)
        homes = [home_of(run, manifest.dataset, generation, node) for node in done["nodes"]]
        assemble(homes, manifest, store)
        store.folder.remove(f"_incoming/{generation.name}")
    parts = [part for manifest in manifests for part in manifest.parts]
    facts.update(
        ticket=done["ticket"],
        results={manifest.dataset: manifest.digest for manifest in manifests},
        versions={manifest.dataset: manifest.version for manifest in manifests},
        parts=len(parts),
        sealed_bytes=sum(part.length for part in parts),
    )
    return manifests
