"""The calls of signalexchange.SignalExchange: carries sealed messages from one peer to another, as badly as a script says.

A message is bytes here, of which only the sender (field 2) and the receiver (field 3) are looked at. A Send is answered as
soon as it was taken; what happens to the message then the faults of method Send say (faults.py), and those of method
ConnectStream how a stream begins."""
import asyncio
import collections
import time

import grpc

from accounts import Refusal
from client import Message

SERVICE = 'signalexchange.SignalExchange'
LOG_MAX = 10000
ID, REGISTERED = 'x-wiretrustee-peer-id', ('x-wiretrustee-peer-registered', '1')


def text_of(message, number):
    return message[number].decode(errors='replace') if number in message and isinstance(message[number], bytes) else ''


class Exchange:
    def __init__(self, faults):
        self.faults = faults
        self.queues = {}  # of those who are registered, by key
        self.held = {}  # messages that the next one to the same receiver overtakes
        self.log = collections.deque(maxlen=LOG_MAX)
        self.deaf = False  # takes everything, brings nothing
        self.count = 0

    def handlers(self):
        return grpc.method_handlers_generic_handler(SERVICE, {
            'Send': grpc.unary_unary_rpc_method_handler(self.send),
            'ConnectStream': grpc.stream_stream_rpc_method_handler(self.connect_stream)})

    async def stalled(self):
        future = asyncio.get_running_loop().create_future()
        self.faults.release.append(future)
        await future

    async def strike(self, fault, context):
        """What goes wrong with a call itself."""
        if fault and fault.kind == 'fail':
            await context.abort(grpc.StatusCode[fault.refusal().code], fault.refusal().text)
        if fault and fault.kind == 'stall':
            await self.stalled()

    # ---- Send

    async def send(self, request, context):
        try:
            message = Message(request)
        except (ValueError, IndexError):
            await context.abort(grpc.StatusCode.INTERNAL, 'grpc: failed to unmarshal the received message')
        sender, receiver = text_of(message, 2), text_of(message, 3)
        fault = self.faults.take('Send', sender)
        if not (fault and fault.late):
            await self.strike(fault, context)
        self.log.append({'n': self.count, 'time': time.time(), 'from': sender, 'to': receiver, 'hex': request.hex(),
                         'fault': fault.kind if fault else '', 'delivered': receiver in self.queues})
        self.count += 1
        self.pass_on(receiver, request, fault)
        if fault and fault.late:
            await self.strike(fault, context)
        return b''

    def pass_on(self, receiver, message, fault):
        kind = fault.kind if fault else ''
        if kind == 'delay':
            asyncio.get_running_loop().call_later(fault.get('ms', 1000) / 1000, self.deliver, receiver, message)
        elif kind == 'swap':
            self.held.setdefault(receiver, []).append(message)
        elif kind == 'garbage':
            self.deliver(receiver, message[:-1] + bytes([message[-1] ^ 1]))
        elif kind != 'end':
            for _ in range(2 if kind == 'twice' else 1):
                self.deliver(receiver, message)
            for held in self.held.pop(receiver, []):
                self.deliver(receiver, held)

    def deliver(self, receiver, message):
        """To nobody: nobody learns of it."""
        if receiver in self.queues and not self.deaf:
            self.queues[receiver].put_nowait(message)

    # ---- ConnectStream

    async def connect_stream(self, _, context):
        """What the client sends on it is not read."""
        peer = dict(context.invocation_metadata()).get(ID, '')
        if not peer:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, 'missing connection header: ' + ID)
        fault = self.faults.take('ConnectStream', peer)
        await self.strike(fault, context)
        await context.send_initial_metadata(() if fault and fault.kind == 'no-header' else (REGISTERED,))
        self.end(peer, Refusal('ABORTED', 'a newer stream of this peer'))
        queue = self.queues[peer] = asyncio.Queue()
        try:
            while (item := await queue.get()) is not None:
                if isinstance(item, Refusal):
                    await context.abort(grpc.StatusCode[item.code], item.text)
                await context.write(item)
        finally:
            if self.queues.get(peer) is queue:
                del self.queues[peer]

    def end(self, peer, refusal=None):
        if peer in self.queues:
            self.queues.pop(peer).put_nowait(refusal)
