"""A gRPC server of another make (grpcio, without generated code: messages are plain bytes)."""
import threading
import time
from concurrent import futures

import grpc

count = {'cancelled': 0, 'slept': 0}  # calls of Sleep and Chat that the client gave up; those of Sleep that began
lock = threading.Lock()


def watch(context):
    def over():
        with lock:
            count['cancelled'] += finished[0] is False
    finished = [False]
    context.add_callback(over)
    return finished


def unary(request, context):
    context.set_trailing_metadata((('x-trailer', 'last'), ('x-bytes-bin', b'\x00\x01')))
    for key, value in context.invocation_metadata():
        if key == 'x-echo':
            context.send_initial_metadata((('x-echo', value),))
    return request


def make(request, context):
    return b'm' * int(request)


def gzipped(request, context):
    context.set_compression(grpc.Compression.Gzip)
    return b'z' * int(request)


def fail(request, context):
    code, text = request.decode().split(' ', 1)
    context.abort(next(c for c in grpc.StatusCode if c.value[0] == int(code)), text)


def sleep(request, context):
    finished = watch(context)
    with lock:
        count['slept'] += 1
    end = time.monotonic() + float(request)
    while time.monotonic() < end and context.is_active():
        time.sleep(0.01)
    finished[0] = context.is_active()
    return b''


def cancelled(request, context):
    with lock:
        return str(count['cancelled']).encode()


def slept(request, context):
    with lock:
        return str(count['slept']).encode()


def many(request, context):
    count, size = map(int, request.split())
    for i in range(count):
        yield i.to_bytes(4, 'big') + b's' * (size - 4)


def timed(request, context):
    """Messages with the time at which they were made."""
    count, size, every_ms = map(int, request.split())
    for _ in range(count):
        time.sleep(every_ms / 1000)
        yield b'%020d' % (time.monotonic_ns() // 1000) + b't' * (size - 20)


def chat(requests, context):
    finished = watch(context)
    for request in requests:
        yield request
    finished[0] = True


def timeout(request, context):
    return b'%d' % int(context.time_remaining() * 1000)


SERVICE = grpc.method_handlers_generic_handler('test.Echo', {
    'Unary': grpc.unary_unary_rpc_method_handler(unary),
    'Make': grpc.unary_unary_rpc_method_handler(make),
    'Gzip': grpc.unary_unary_rpc_method_handler(gzipped),
    'Fail': grpc.unary_unary_rpc_method_handler(fail),
    'Sleep': grpc.unary_unary_rpc_method_handler(sleep),
    'Slept': grpc.unary_unary_rpc_method_handler(slept),
    'Cancelled': grpc.unary_unary_rpc_method_handler(cancelled),
    'Timeout': grpc.unary_unary_rpc_method_handler(timeout),
    'Many': grpc.unary_stream_rpc_method_handler(many),
    'Timed': grpc.unary_stream_rpc_method_handler(timed),
    'Chat': grpc.stream_stream_rpc_method_handler(chat),
})


def start(certificates, **more):
    """The running server and its ports: without TLS, with TLS, with TLS that asks for a certificate."""
    options = [('grpc.max_send_message_length', -1), ('grpc.max_receive_message_length', -1), *more.items()]
    server = grpc.server(futures.ThreadPoolExecutor(16), options=options)
    server.add_generic_rpc_handlers((SERVICE,))
    plain = server.add_insecure_port('127.0.0.1:0')
    read = lambda name: open(f'{certificates}/{name}', 'rb').read()
    pair = ((read('good.key'), read('good.pem')),)
    tls = server.add_secure_port('127.0.0.1:0', grpc.ssl_server_credentials(pair))
    mutual = server.add_secure_port('127.0.0.1:0', grpc.ssl_server_credentials(pair, read('ca.pem'), True))
    server.start()
    return server, plain, tls, mutual
