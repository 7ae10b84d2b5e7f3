"""The calls of management.ManagementService, from bytes to bytes.

Every method is a stream of answers to grpcio: on the wire that is the same as a unary call, and a fault can send none or
two. Requests are kept as they came, for tests that look at what a client said."""
import asyncio
import collections
import time
import traceback

import grpc
from google.protobuf.message import DecodeError

import netmap
from accounts import Refusal
from crypto import ServerKey, key_bytes
from messages import pb, to_dict

SERVICE = 'management.ManagementService'
RECORDS_MAX = 1000
DENIED = Refusal('PERMISSION_DENIED', 'peer is not registered')
# What is sealed in a request.
INNER = {'Login': pb.LoginRequest, 'Sync': pb.SyncRequest, 'SyncMeta': pb.SyncMetaRequest}


class Stream:
    """An open Sync stream: what it is to send next. Maps are made when they are sent; the first change goes out at once,
    those that follow are held until nothing has changed for `group_s`."""

    def __init__(self, account, peer, group_s):
        self.account, self.peer, self.group_s = account, peer, group_s
        self.queue = asyncio.Queue()
        self.timer = None
        self.queued = False
        self.serial = self.messages = 0
        self.refreshed = time.time()

    def changed(self):
        if self.timer:
            self.timer.cancel()
            self.hold(True)
        else:
            self.push()
            if self.group_s:
                self.hold(False)

    def hold(self, more):
        self.timer = asyncio.get_running_loop().call_later(self.group_s, self.quiet, more)

    def quiet(self, more):
        self.timer = None
        if more:
            self.push()

    def push(self):
        if not self.queued:
            self.queued = True
            self.queue.put_nowait('map')

    def send(self, plain):
        self.queue.put_nowait(plain)

    def end(self, refusal=None):
        self.queue.put_nowait(refusal)

    async def next(self):
        """The plain message; None at the end."""
        item = await self.queue.get()
        if isinstance(item, Refusal):
            raise item
        if item == 'map':
            self.queued = False
            self.serial = self.account.serial
            return netmap.sync_response(self.account, self.peer).SerializeToString()
        return item


class Call:
    """One call: how it is recorded and how its answers leave."""

    def __init__(self, service, method, context):
        self.service, self.method, self.context = service, method, context
        self.peer, self.fault, self.sent = '', None, 0
        remaining = context.time_remaining()
        self.record = {
            'n': service.count, 'method': method, 'time': time.time(), 'from': context.peer(),
            'metadata': {key: value if isinstance(value, str) else value.hex() for key, value in context.invocation_metadata()},
            'timeout_s': None if remaining is None else round(remaining, 3), 'status': ''}
        service.records.append(self.record)
        service.count += 1

    def open(self, request):
        """The plain bytes of an envelope."""
        self.record['envelope'] = request.hex()
        try:
            envelope = pb.EncryptedMessage.FromString(request)
        except DecodeError as error:
            raise Refusal('INTERNAL', 'grpc: failed to unmarshal the received message') from error
        self.record['peer'] = envelope.wgPubKey
        try:
            key_bytes(envelope.wgPubKey)
        except ValueError as error:
            raise Refusal('INVALID_ARGUMENT', f'provided wgPubKey {envelope.wgPubKey} is invalid') from error
        self.peer = envelope.wgPubKey
        try:
            plain = self.service.key.open(self.peer, envelope.body)
        except ValueError as error:
            raise Refusal('INVALID_ARGUMENT', 'invalid request message') from error
        self.record['plain'] = plain.hex()
        return plain

    def parse(self, plain, kind):
        try:
            return kind.FromString(plain)
        except DecodeError as error:
            raise Refusal('INVALID_ARGUMENT', 'invalid request message') from error

    async def send(self, plain, seal=True):
        """Seals and sends one message, or what a fault makes of it. False: the call is to end."""
        self.sent += 1
        fault = self.fault if self.fault and self.fault.at == self.sent else None
        if fault and fault.kind == 'delay':
            await asyncio.sleep(fault.get('ms', 1000) / 1000)
        if fault and fault.late:
            await self.strike(fault)
        plain = fault.plain(plain) if fault else plain
        if seal:
            key = ServerKey() if fault and fault.kind == 'wrong-key' else self.service.key
            envelope = pb.EncryptedMessage(wgPubKey=self.service.key.public, body=key.seal(self.peer, plain))
            plain = envelope.SerializeToString()
        for message in fault.envelopes(plain) if fault else [plain]:
            await self.context.write(message)
        following = self.fault and not self.fault.late and self.fault.at == self.sent + 1
        if following:
            await self.strike(self.fault)
        return not (fault and fault.kind == 'end' or following and self.fault.kind == 'end')

    async def strike(self, fault):
        """What goes wrong without a message."""
        if fault.kind == 'fail':
            raise fault.refusal()
        if fault.kind == 'stall':
            await self.service.stalled()


class Service:
    def __init__(self, state, services, faults, key=None, group_s=1.0):
        self.state, self.services, self.faults, self.group_s = state, services, faults, group_s
        self.key = ServerKey(key)
        self.streams = {}  # by key of the peer
        self.jobs = {}  # queues by key of the peer
        self.records = collections.deque(maxlen=RECORDS_MAX)
        self.job_answers = []
        self.count = 0
        state.listener, state.removed = self.account_changed, self.peer_removed

    # ---- What the state tells

    def account_changed(self, account):
        for stream in self.streams.values():
            if stream.account is account:
                stream.changed()

    def peer_removed(self, account, peer):
        stream = self.streams.pop(peer.key, None)
        if stream:
            stream.send(netmap.farewell(account).SerializeToString())
            stream.end()
        if peer.key in self.jobs:
            self.jobs[peer.key].put_nowait(None)

    def refresh(self, turn):
        for stream in self.streams.values():
            stream.send(self.services.refresh(turn).SerializeToString())

    async def stalled(self):
        future = asyncio.get_running_loop().create_future()
        self.faults.release.append(future)
        await future

    # ---- The calls

    def handlers(self):
        single = {name: getattr(self, name) for name in ('GetServerKey', 'isHealthy', 'Login', 'Sync', 'SyncMeta', 'Logout',
                                                         'GetDeviceAuthorizationFlow', 'GetPKCEAuthorizationFlow')}
        methods = {name: grpc.unary_stream_rpc_method_handler(self.guard(name, method)) for name, method in single.items()}
        methods['Job'] = grpc.stream_stream_rpc_method_handler(self.guard('Job', self.Job))
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    def guard(self, name, method):
        async def handle(request, context):
            call = Call(self, name, context)
            try:
                if name != 'Job':
                    await self.begin(call, request)
                await method(call, request)
                call.record['status'] = 'OK'
            except Refusal as refusal:
                call.record['status'], call.record['text'] = refusal.code, refusal.text
                await context.abort(grpc.StatusCode[refusal.code], refusal.text)
            except asyncio.CancelledError:
                call.record['status'] = 'cancelled'
                raise
            except Exception:
                call.record['status'] = 'mistake of the hub'
                traceback.print_exc()
                raise
        return handle

    async def begin(self, call, request):
        """Finds the fault and lets it strike; a request that cannot even be opened has one that is for any peer."""
        if call.method not in ('GetServerKey', 'isHealthy'):
            try:
                call.peer = pb.EncryptedMessage.FromString(request).wgPubKey
            except DecodeError:
                pass
        call.fault = self.faults.take(call.method, call.peer)
        if call.fault:
            call.record['fault'] = call.fault.kind
            if not call.fault.late and call.fault.at == 1:
                await call.strike(call.fault)

    async def GetServerKey(self, call, request):
        call.record['envelope'] = request.hex()
        message = pb.ServerKeyResponse(key=self.key.public)
        message.expiresAt.seconds = int(time.time()) % 60
        await call.send(message.SerializeToString(), seal=False)

    async def isHealthy(self, call, request):
        call.record['envelope'] = request.hex()
        await call.send(b'', seal=False)

    async def Login(self, call, request):
        message = call.parse(call.open(request), pb.LoginRequest)
        account, peer = self.state.login(call.peer, message)
        await call.send(netmap.login_response(self.services, account, peer).SerializeToString())

    def registered(self, call):
        account, peer = self.state.peer_of(call.peer)
        if not peer:
            raise DENIED
        self.state.admit(peer)
        return account, peer

    async def Sync(self, call, request):
        message = call.parse(call.open(request), pb.SyncRequest)
        account, peer = self.registered(call)
        if message.meta.ByteSize() and self.state.set_meta(peer, message.meta):
            self.state.changed(account)
        # A newer stream of the same peer takes the place of the older one.
        if peer.key in self.streams:
            self.streams[peer.key].end()
        stream = self.streams[peer.key] = Stream(account, peer, self.group_s)
        try:
            await self.follow(call, stream)
        finally:
            peer.seen = time.time()
            if self.streams.get(peer.key) is stream:
                del self.streams[peer.key]

    async def follow(self, call, stream):
        stream.serial = stream.account.serial
        plain = netmap.sync_response(stream.account, stream.peer, self.services).SerializeToString()
        if call.fault and call.fault.kind == 'endless':
            while True:
                await call.send(plain)
                await asyncio.sleep(call.fault.get('ms', 0) / 1000)
        while plain is not None and await call.send(plain):
            stream.messages += 1
            plain = await stream.next()

    async def SyncMeta(self, call, request):
        message = call.parse(call.open(request), pb.SyncMetaRequest)
        if not message.meta.ByteSize():
            raise Refusal('FAILED_PRECONDITION', 'peer system meta has to be provided on sync')
        account, peer = self.registered(call)
        if self.state.set_meta(peer, message.meta):
            self.state.changed(account, serial=False)
        await call.send(b'', seal=False)

    async def Logout(self, call, request):
        call.open(request)
        account, peer = self.state.peer_of(call.peer)
        if not peer:
            raise Refusal('NOT_FOUND', f'peer not found: {call.peer}')
        self.state.remove(account, peer)
        await call.send(b'', seal=False)

    async def GetDeviceAuthorizationFlow(self, call, request):
        call.open(request)
        raise Refusal('NOT_FOUND', 'no device authorization flow information available')

    async def GetPKCEAuthorizationFlow(self, call, request):
        call.open(request)
        raise Refusal('NOT_FOUND', 'no pkce authorization flow information available')

    async def Job(self, call, requests):
        """The first message is a hello, each later one answers a job; ours are jobs."""
        request = await anext(requests, None)
        if request is None:
            return
        await self.begin(call, request)
        call.parse(call.open(request), pb.JobRequest)
        self.registered(call)
        queue = self.jobs[call.peer] = asyncio.Queue()
        tasks = [asyncio.ensure_future(self.give_jobs(call, queue)), asyncio.ensure_future(self.take_answers(call, requests))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            if self.jobs.get(call.peer) is queue:
                del self.jobs[call.peer]

    @staticmethod
    async def give_jobs(call, queue):
        while (plain := await queue.get()) is not None:
            await call.send(plain)

    async def take_answers(self, call, requests):
        async for request in requests:
            plain = call.open(request)
            self.job_answers.append({'peer': call.peer, 'plain': plain.hex(), **to_dict(call.parse(plain, pb.JobResponse))})

    # ---- What happens by itself

    async def tick(self, ephemeral_s):
        """Removes ephemeral peers that have been away for so long, and brings new credentials before the old ones end."""
        while True:
            await asyncio.sleep(0.2)
            now = time.time()
            for account in self.state.accounts.values():
                for peer in list(account.peers.values()):
                    if peer.ephemeral and peer.key not in self.streams and peer.seen + ephemeral_s < now:
                        self.state.remove(account, peer)
            for stream in self.streams.values():
                if stream.refreshed + self.services.life_s * 3 / 4 < now and (self.services.relays or self.services.turns):
                    stream.refreshed = now
                    stream.send(self.services.refresh(bool(self.services.turns)).SerializeToString())
