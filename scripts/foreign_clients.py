"""Writes events as foreign programs do, and reads them back where Upnext puts them.

usage: foreign_clients.py READY_LINE_FILE WORK_DIRECTORY
"""
import json
import pathlib
import subprocess
import sys
import time
import uuid

from confluent_kafka import Consumer, Producer
from confluent_kafka.schema_registry import (
    SchemaRegistryClient, header_schema_id_serializer, topic_record_subject_name_strategy, Schema, SchemaReference,
)
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext

RAW, VALID, DEAD = "upnext.events.v1", "upnext.events.valid.v1", "upnext.events.dlq.v1"
EVENTS = 50
BOUND_S = 30


def main() -> None:
    ready = json.loads(pathlib.Path(sys.argv[1]).read_text())
    work = pathlib.Path(sys.argv[2])
    brokers, registry = ready["kafka"], SchemaRegistryClient({"url": ready["registry"]})
    encode = serializer(registry)
    from_python = write_with_python(brokers, encode)
    from_header = write_with_header(brokers, registry)
    from_kcat = write_with_kcat(brokers, encode, work)
    garbage = write_garbage(brokers, work)
    written = from_python | from_header | from_kcat
    check_valid(brokers, registry, written)
    check_dead(brokers, garbage)
    check_registry(registry)
    check_valid_with_kcat(brokers, len(written))


def serializer(registry: SchemaRegistryClient):
    """Our contract, registered by the foreign client under its own subject name."""
    schema = pathlib.Path("schemas/events/ItemViewed.avsc").read_text()
    avro = AvroSerializer(
        registry, schema, conf={"subject.name.strategy": topic_record_subject_name_strategy}
    )
    return lambda event: avro(event, SerializationContext(RAW, MessageField.VALUE))


def event(user: str) -> dict:
    """One view, as the schema has it."""
    return {
        "event_id": str(uuid.uuid4()), "event_time": int(time.time() * 1000), "user_id": user,
        "anonymous_id": None, "session_id": "foreign", "surface": "home", "decision_id": None,
        "device": "desktop", "props": {}, "item_id": "from-" + user,
    }


def write_with_python(brokers: str, encode) -> set:
    producer = Producer({
        "bootstrap.servers": brokers, "partitioner": "murmur2_random", "enable.idempotence": True,
    })
    events = [event(f"python-{number}") for number in range(EVENTS)]
    for one in events:
        producer.produce(RAW, key=one["user_id"], value=encode(one))
    left = producer.flush(BOUND_S)
    assert left == 0, f"{left} records were not delivered"
    return {one["event_id"] for one in events}


def write_with_header(brokers: str, registry: SchemaRegistryClient) -> set:
    """Bare Avro; the schema's GUID stands in a header."""
    schema = pathlib.Path("schemas/events/ItemViewed.avsc").read_text()
    avro = AvroSerializer(registry, schema, conf={
        "subject.name.strategy": topic_record_subject_name_strategy,
        "schema.id.serializer": header_schema_id_serializer,
    })
    producer = Producer({"bootstrap.servers": brokers, "partitioner": "murmur2_random"})
    events = [event(f"header-{number}") for number in range(5)]
    for one in events:
        headers = []
        value = avro(one, SerializationContext(RAW, MessageField.VALUE, headers))
        name, guid = headers[0]
        assert (name, len(guid), value[0]) == ("__value_schema_id", 17, 72), (headers, value)
        producer.produce(RAW, key=one["user_id"], value=value, headers=headers)
    left = producer.flush(BOUND_S)
    assert left == 0, f"{left} records were not delivered"
    return {one["event_id"] for one in events}


def write_with_kcat(brokers: str, encode, work: pathlib.Path) -> set:
    ids = set()
    for number in range(5):
        one = event(f"kcat-{number}")
        path = work / f"event-{number}"
        path.write_bytes(encode(one))
        kcat(brokers, "-P", "-t", RAW, "-k", one["user_id"], str(path))
        ids.add(one["event_id"])
    return ids


def write_garbage(brokers: str, work: pathlib.Path) -> bytes:
    path = work / "garbage"
    path.write_bytes(b"this is no event")
    kcat(brokers, "-P", "-t", RAW, "-k", "garbage", str(path))
    return path.read_bytes()


def kcat(brokers: str, *arguments: str) -> str:
    done = subprocess.run(
        ["kcat", "-b", brokers, *arguments], check=True, capture_output=True, text=True, timeout=BOUND_S
    )
    return done.stdout


def read(brokers: str, topic: str):
    """Everything on the topic, and what comes, until the bound has passed."""
    consumer = Consumer({
        "bootstrap.servers": brokers, "group.id": str(uuid.uuid4()), "auto.offset.reset": "earliest",
        "partition.assignment.strategy": "cooperative-sticky",
    })
    consumer.subscribe([topic])
    end = time.monotonic() + BOUND_S
    try:
        while time.monotonic() < end:
            message = consumer.poll(0.5)
            if message is not None and message.error() is None:
                yield message
    finally:
        consumer.close()


def check_valid(brokers: str, registry: SchemaRegistryClient, expected: set) -> None:
    decode, missing = AvroDeserializer(registry), set(expected)
    for message in read(brokers, VALID):
        value = decode(message.value(), SerializationContext(VALID, MessageField.VALUE))
        names = {name for name, _ in message.headers() or []}
        assert "upnext.source.offset" in names, names
        missing.discard(value["event_id"])
        if not missing:
            print(f"{len(expected)} events of kcat and Python are valid")
            return
    raise SystemExit(f"{len(missing)} events are missing in {VALID}")


def check_dead(brokers: str, garbage: bytes) -> None:
    for message in read(brokers, DEAD):
        headers = {name: value.decode() for name, value in message.headers()}
        if message.value() == garbage:
            assert message.key() == b"garbage", message.key()
            assert headers["upnext.dlq.reason"], headers
            assert headers["__connect.errors.topic"] == RAW, headers
            print("garbage is a dead letter, reason", headers["upnext.dlq.reason"])
            return
    raise SystemExit(f"the garbage is missing in {DEAD}")


def check_valid_with_kcat(brokers: str, expected: int) -> None:
    lines = kcat(brokers, "-C", "-t", VALID, "-o", "beginning", "-e", "-q", "-f", "%k %h\n").splitlines()
    found = sum("upnext.source.partition" in line for line in lines)
    assert found >= expected, f"kcat reads {found} of {expected}"
    print("kcat reads", found, "valid events with their source position")


def check_registry(registry: SchemaRegistryClient) -> None:
    """The registry's interface as its best known client calls it, from registration to deletion."""
    record = '{"type":"record","name":"R","fields":[%s]}'
    first = Schema(record % '{"name":"a","type":"int"}', "AVRO")
    second = Schema(record % '{"name":"a","type":"int"},{"name":"b","type":"int","default":0}', "AVRO")
    other = Schema(record % '{"name":"a","type":"string"}', "AVRO")
    subject = f"foreign-{uuid.uuid4()}"
    schema_id = registry.register_schema(subject, first)
    assert registry.register_schema(subject, first, normalize_schemas=True) == schema_id
    full = registry.register_schema_full_response(subject, second)
    assert registry.get_schema_by_guid(full.guid).schema_str == second.schema_str
    assert registry.lookup_schema(subject, second).version == 2
    assert registry.get_versions(subject) == [1, 2]
    assert not registry.test_compatibility(subject, other)
    refused(409, lambda: registry.register_schema(subject, other))
    refused(40401, lambda: registry.get_versions("foreign-unknown"))
    refused(40402, lambda: registry.get_version(subject, 9))
    refused(40408, lambda: registry.get_compatibility(subject))
    holder = Schema(
        '{"type":"record","name":"H","fields":[{"name":"r","type":"R"}]}', "AVRO",
        [SchemaReference("R", subject, 2)],
    )
    held = registry.register_schema(f"{subject}-holder", holder)
    assert registry.get_referenced_by(subject, 2) == [held]
    refused(42206, lambda: registry.delete_subject(subject))
    registry.update_mode(subject, "READONLY")
    refused(42205, lambda: registry.register_schema(subject, holder))
    registry.update_mode(subject, "READWRITE")
    refused(42201, lambda: registry.register_schema(subject, Schema("{}", "JSON")))
    assert registry.delete_subject(f"{subject}-holder") == [1]
    assert registry.delete_subject(f"{subject}-holder", permanent=True) == [1]
    assert registry.delete_subject(subject) == [1, 2]
    print("the registry answers its Python client as it should")


def refused(code: int, call) -> None:
    try:
        call()
    except SchemaRegistryError as error:
        assert error.error_code == code, f"{error.error_code} instead of {code}: {error}"
    else:
        raise SystemExit(f"nothing refused, {code} expected")


if __name__ == "__main__":
    main()
