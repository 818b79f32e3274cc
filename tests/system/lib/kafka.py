# SPDX-License-Identifier: PostgreSQL
"""A real Kafka, one node, from Maven Central with Java; and a producer for it from PyPI. Kept below .cache/."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from .daemon import free_port, wait_until
from .django_env import TOP

VERSION = "3.9.1"
CLIENT = "kafka-python==2.2.15"
FETCH_S = 600
POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>kept</groupId><artifactId>kafka</artifactId><version>1</version><dependencies><dependency>
<groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version>
</dependency><dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version>
</dependency></dependencies></project>
"""


def _place():
    return Path(os.environ.get("PGHERALD_CACHE", TOP / ".cache")) / f"kafka-{VERSION}"


def missing():
    """Why there is no Kafka here; None when there is one. Fetches it once."""
    place = _place()
    if not shutil.which("java"):
        return "there is no Java here"
    place.mkdir(parents=True, exist_ok=True)
    with open(place / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "tried").exists():
            _fetch(place)
            (place / "tried").touch()
    if not list(place.glob("libs/kafka_*.jar")):
        return "Kafka cannot be had from Maven here"
    return None if (place / "client").is_dir() else "kafka-python cannot be had from PyPI here"


def _fetch(place):
    (place / "pom.xml").write_text(POM)
    try:
        if shutil.which("mvn"):
            subprocess.run(["mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={place}/libs.new"],
                           cwd=place, capture_output=True, timeout=FETCH_S, check=True)
            os.rename(place / "libs.new", place / "libs")
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(place / "client"),
                        CLIENT], capture_output=True, timeout=FETCH_S, check=False)
    except (OSError, subprocess.SubprocessError):
        pass


class Kafka:
    """A broker that keeps what it has been told over kill() and start()."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.port, self.controller = free_port(), free_port()
        self.proc, self.log = None, self.directory / "kafka.log"
        os.chmod(self.directory, 0o777)
        (self.directory / "server.properties").write_text(f"""
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{self.controller}
listeners=PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self.controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{self.port}
controller.listener.names=CONTROLLER
log.dirs={self.directory}/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=300
num.partitions=2
message.max.bytes=20000000
replica.fetch.max.bytes=20000000
""")
        self._run("kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qk", "-c",
                  str(self.directory / "server.properties"))

    def _argv(self, name, *args):
        return ["java", "-Xmx400m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                                 "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp",
                                 f"{_place()}/libs/*", name, *args]

    def _run(self, name, *args):
        done = subprocess.run(self._argv(name, *args), capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self):
        with open(self.log, "ab") as log:
            self.proc = subprocess.Popen(self._argv("kafka.Kafka", str(self.directory / "server.properties")),
                                         stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.directory)
        wait_until(self._answers, lambda: "Kafka answers:\n" + self.log.read_text()[-4000:])
        return self

    def _answers(self):
        assert self.proc.poll() is None, self.log.read_text()[-4000:]
        try:
            self.producer(request_timeout_ms=1500, api_version_auto_timeout_ms=1500).close()
            return True
        except Exception:  # whatever the client says of one that is not there yet
            return False

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def producer(self, **more):
        sys.path.insert(0, str(_place() / "client"))
        try:
            import kafka
        finally:
            sys.path.pop(0)
        return kafka.KafkaProducer(bootstrap_servers=self.address, acks="all",
                                   max_request_size=20_000_000, **more)

    def topic(self, name, partitions=2):
        sys.path.insert(0, str(_place() / "client"))
        try:
            from kafka.admin import KafkaAdminClient, NewTopic
        finally:
            sys.path.pop(0)
        admin = KafkaAdminClient(bootstrap_servers=self.address)
        admin.create_topics([NewTopic(name, partitions, 1)])
        admin.close()

    def forget(self, name, before):
        """What retention does in the end: records of partition 0 below that offset are gone."""
        sys.path.insert(0, str(_place() / "client"))
        try:
            from kafka import TopicPartition
            from kafka.admin import KafkaAdminClient
        finally:
            sys.path.pop(0)
        admin = KafkaAdminClient(bootstrap_servers=self.address)
        admin.delete_records({TopicPartition(name, 0): before})
        admin.close()

    def kill(self):
        if self.proc and self.proc.poll() is None:
            self.proc.send_signal(signal.SIGKILL)
            self.proc.wait()
