import pytest

from ppml_ops.errors import ConfigError
from ppml_ops.spark.conf import check_conf, refusal

ALLOWED = {
    "spark.sql.shuffle.partitions": "8",
    "spark.sql.files.ignoreCorruptFiles": "true",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.session.timeZone": "Europe/Berlin",
    "spark.network.timeout": "10000000",
    "spark.executor.heartbeatInterval": "10000000",
    "spark.speculation": "true",
    "spark.speculation.quantile": "0.5",
    "spark.python.worker.reuse": "false",
}

REFUSED = {
    "spark.plugins": "PPML Ops sets it",
    "spark.sql.sources.commitProtocolClass": "PPML Ops sets it",
    "spark.hadoop.fs.sealed.people.base": "PPML Ops sets it",
    "spark.hadoop.fs.sealed.impl": "PPML Ops sets it",
    "spark.hadoop.fs.s3a.secret.key": "secret",
    "spark.hadoop.fs.azure.account.key": "PPML Ops sets it",
    "spark.ssl.rpc.keyPassword": "secret",
    "spark.authenticate.secret": "secret",
    "spark.driver.extraClassPath": "nobody measures",
    "spark.executor.extraClassPath": "nobody measures",
    "spark.driver.extraJavaOptions": "nobody measures",
    "spark.executor.defaultJavaOptions": "nobody measures",
    "spark.jars": "nobody measures",
    "spark.jars.packages": "nobody measures",
    "spark.submit.pyFiles": "nobody measures",
    "spark.sql.extensions": "nobody measures",
    "spark.sql.queryExecutionListeners": "nobody measures",
    "spark.extraListeners": "nobody measures",
    "spark.sql.catalog.x": "nobody measures",
    "spark.driver.userClassPathFirst": "nobody measures",
    "spark.executorEnv.LD_PRELOAD": "nobody measures",
    "spark.pyspark.python": "nobody measures",
    "spark.sql.adaptive.customCostEvaluatorClass": "nobody measures",
    "spark.eventLog.enabled": "in clear",
    "spark.ui.enabled": "in clear",
    "spark.local.dir": "in clear",
    "spark.python.worker.memory": "in clear",
    "spark.sql.warehouse.dir": "in clear",
    "spark.sql.streaming.checkpointLocation": "in clear",
    "spark.authenticate": "protects traffic",
    "spark.network.crypto.enabled": "protects traffic",
    "spark.io.encryption.enabled": "protects traffic",
    "spark.ssl.enabled": "protects traffic",
    "spark.python.unix.domain.socket.enabled": "protects traffic",
    "spark.master": "profile",
    "spark.driver.memory": "profile",
    "spark.kubernetes.container.image": "profile",
    "spark.app.name": "profile",
    "spark.something.new": "not among",
    "spark.speculationx": "not among",
    "Spark.sql.shuffle.partitions": "not among",
}


@pytest.mark.parametrize("name", ALLOWED)
def test_allowed(name: str) -> None:
    assert refusal(name, ALLOWED[name]) is None


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_the_reason(name: str) -> None:
    with pytest.raises(ConfigError, match=REFUSED[name]) as caught:
        check_conf({"spark.sql.shuffle.partitions": "2", name: "hunter2"})
    assert name in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("value", ["a\nspark.plugins=", "x" * 2000, "${env:HOME}", "\x7f"])
def test_values_that_could_smuggle_are_refused(value: str) -> None:
    with pytest.raises(ConfigError):
        check_conf({"spark.sql.session.timeZone": value})


def test_names_that_could_smuggle_are_refused() -> None:
    with pytest.raises(ConfigError):
        check_conf({"spark.sql.files.x=1\nspark.plugins": ""})
