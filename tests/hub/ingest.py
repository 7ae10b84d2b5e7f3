#!/usr/bin/python3
"""ingest.py DIRECTORY [PORT [CERTIFICATE KEY]] - a server of metrics, and of faults; prints its port.

DIRECTORY/mode (JSON) says how it behaves, looked at with each request: {"config": HOW, "push": HOW}. It judges what is pushed by
rules of its own, and writes each request down as a line of JSON in DIRECTORY/log. Ends when its input does, if that is a pipe."""
import gzip
import http.server
import json
import os
import re
import ssl
import stat
import sys
import threading
import time

DIRECTORY = sys.argv[1]
TAGS = {
    'netbird_peer_connection': ['deployment_type', 'connection_type', 'attempt_type', 'version', 'os', 'arch', 'peer_id',
                                'connection_pair_id'],
    'netbird_sync': ['deployment_type', 'version', 'os', 'arch', 'peer_id'],
    'netbird_sync_phase': ['deployment_type', 'version', 'os', 'arch', 'peer_id', 'phase'],
    'netbird_login': ['deployment_type', 'result', 'version', 'os', 'arch', 'peer_id'],
}
FIELDS = {'netbird_peer_connection': ['connection_to_wg_handshake_seconds', 'signaling_to_connection_seconds', 'total_seconds']}
PHASES = {'netbird_config', 'checks', 'persist', 'dns_server', 'routes_classify', 'routes_apply', 'filtering', 'dns_forwarder',
          'forward_rules', 'offline_peers', 'removed_peers', 'modified_peers', 'added_peers', 'lazy_exclude'}
LOCK = threading.Lock()


def judge_line(line, peer):
    head, fields, stamp = line.split(' ')
    name, *tags = head.split(',')
    tags = [tag.split('=') for tag in tags]
    values = dict(tags)
    if [tag for tag, _ in tags] != TAGS[name]:
        raise ValueError('tags')
    if any(not value or len(value) > 64 for value in values.values()) or values['peer_id'] != peer:
        raise ValueError('tag')
    if values.get('phase', 'checks') not in PHASES or values['os'] != 'linux':
        raise ValueError('tag')
    if not re.fullmatch('[0-9a-f]{16}', values.get('connection_pair_id', peer)):
        raise ValueError('pair')
    fields = [field.split('=') for field in fields.split(',')]
    if [field for field, _ in fields] != FIELDS.get(name, ['duration_seconds']):
        raise ValueError('fields')
    if any(not 0 <= float(value) <= 86400 for _, value in fields):
        raise ValueError('field')
    if abs(int(stamp) / 1e9 - time.time()) > 6 * 86400:
        raise ValueError('time')


def judge(headers, body):
    """One bad line refuses all."""
    peer = headers.get('X-Peer-ID', '')
    if not re.fullmatch('[0-9a-f]{16}', peer):
        raise ValueError('X-Peer-ID')
    if headers.get('Content-Type') != 'text/plain; charset=utf-8' or headers.get('Content-Encoding') != 'gzip':
        raise ValueError('content')
    text = gzip.decompress(body).decode('ascii')
    if not text.endswith('\n') or len(text) > 50e6:
        raise ValueError('body')
    for line in text.splitlines():
        judge_line(line, peer)
    return text


def config(port, **members):
    return json.dumps({'server_url': f'http://127.0.0.1:{port}/write', 'version-since': '0.0.1', 'version-until': '99.0.0',
                       'period_minutes': 5} | members).encode()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *_args):
        pass

    def mode(self, which):
        try:
            with open(f'{DIRECTORY}/mode', encoding='utf8') as file:
                return json.load(file).get(which, 'good')
        except FileNotFoundError:
            return 'good'

    def note(self, **what):
        with LOCK, open(f'{DIRECTORY}/log', 'a', encoding='utf8') as file:
            file.write(json.dumps({'method': self.command, 'path': self.path, 'headers': dict(self.headers)} | what) + '\n')

    def answer(self, status, body=b'', **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace('_', '-'), value)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            pass

    def trickle(self, body):
        """As long as it is listened to."""
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        try:
            for i in range(len(body)):
                self.wfile.write(body[i:i + 1])
                time.sleep(0.1)
        except OSError:
            pass
        self.close_connection = True

    def flood(self):
        """A head without end."""
        self.send_response(200)
        self.flush_headers()
        try:
            for i in range(1000000):
                self.wfile.write(b'X-%d: %s\r\n' % (i, b'x' * 1000))
        except OSError:
            pass
        self.close_connection = True

    def fault(self, how):
        """Those that know no difference; false: it is none of them."""
        if isinstance(how, int):
            self.answer(how, b'no')
        elif how == 'never':
            time.sleep(60)
        elif how == 'close':
            self.close_connection = True
        elif how == 'head':
            self.flood()
        elif how == 'redirect':
            self.answer(307, Location=f'http://127.0.0.1:{self.server.server_address[1]}/elsewhere')
        else:
            return False
        return True

    def do_GET(self):
        how = self.mode('config')
        good = config(self.server.server_address[1])
        self.note(mode=how)
        if self.fault(how):
            return
        if isinstance(how, dict):
            good = config(self.server.server_address[1], **how)
        elif how == 'garbage':
            good = os.urandom(3000)
        elif how == 'page':
            good = b'<!DOCTYPE html><title>Sign in</title>'
        elif how == 'huge':
            good = b'{"pad": "' + b'x' * 10 * 1024 * 1024 + b'", ' + good[1:]
        elif how == 'full':
            good += b' ' * (4096 - len(good))
        elif how == 'over':
            good += b' ' * (4097 - len(good))
        elif how == 'slow':
            return self.trickle(good)
        self.answer(200, good)

    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        how = self.mode('push')
        try:
            text, verdict = judge(self.headers, body), 'good'
        except (ValueError, KeyError, OSError) as error:
            text, verdict = repr(body), f'bad: {error!r}'
        self.note(body=text, verdict=verdict, mode=how)
        if self.fault(how):
            return
        if verdict != 'good':
            self.answer(400)
        elif how == 'slow':
            self.trickle(b'x' * 1000)
        else:
            self.answer(204)


def main():
    server = http.server.ThreadingHTTPServer(('0.0.0.0', int(sys.argv[2]) if len(sys.argv) > 2 else 0), Handler)
    server.daemon_threads = True
    if len(sys.argv) > 3:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[3], sys.argv[4])
        server.socket = context.wrap_socket(server.socket, server_side=True)
    print(server.server_address[1], flush=True)
    if stat.S_ISFIFO(os.fstat(0).st_mode) or stat.S_ISSOCK(os.fstat(0).st_mode):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sys.stdin.read()
        os._exit(0)
    server.serve_forever()


main()
