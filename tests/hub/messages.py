"""The messages of mgmt/management.proto as classes of `pb`, and what is done to any message.

Where there is no protoc (a guest) the generated management_pb2.py lies beside this file, one directory above, or in
$HUB_MESSAGES."""
import importlib
import os
import subprocess
import sys
import tempfile

from google.protobuf import json_format

HERE = os.path.dirname(os.path.realpath(__file__))
PROTO = os.path.join(HERE, '../../mgmt/management.proto')


def load():
    for place in (os.environ.get('HUB_MESSAGES', HERE), HERE, os.path.dirname(HERE)):
        if os.path.exists(os.path.join(place, 'management_pb2.py')):
            sys.path.insert(0, place)
            return importlib.import_module('management_pb2')
    with tempfile.TemporaryDirectory() as place:
        subprocess.run(['protoc', '-I', os.path.dirname(PROTO), '--python_out', place, PROTO], check=True)
        sys.path.insert(0, place)
        try:
            return importlib.import_module('management_pb2')
        finally:
            sys.path.remove(place)


sys.dont_write_bytecode = True
pb = load()


def to_dict(message):
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def patch(message, changes):
    """Puts a dictionary into a message: values and lists replace, messages are gone into, None clears."""
    for name, value in changes.items():
        field = message.DESCRIPTOR.fields_by_name[name]
        single = field.message_type and field.label != field.LABEL_REPEATED
        if single and isinstance(value, dict):
            inner = getattr(message, name)
            inner.SetInParent()
            patch(inner, value)
            continue
        message.ClearField(name)
        if value is not None:
            json_format.ParseDict({name: value}, message)


def from_dict(kind, changes):
    message = kind()
    patch(message, changes)
    return message
