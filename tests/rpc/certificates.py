"""Certificates for tests, made with openssl: certificates.py DIRECTORY."""
import os
import subprocess
import sys


def openssl(*words):
    subprocess.run(['openssl', *words], check=True, capture_output=True)


def authority(path, name):
    openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
            '-subj', f'/CN={name}', '-keyout', f'{path}.key', '-out', f'{path}.pem')


def certificate(path, by, names, **dates):
    """`dates`: start, end as YYMMDDHHMMSSZ; without them it is valid today."""
    with open(f'{path}.ext', 'w') as f:
        f.write(f'subjectAltName={names}\n')
    openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
            '-subj', '/CN=lapwing test', '-keyout', f'{path}.key', '-out', f'{path}.csr')
    if not dates:
        openssl('x509', '-req', '-in', f'{path}.csr', '-CA', f'{by}.pem', '-CAkey', f'{by}.key',
                '-CAcreateserial', '-days', '2', '-extfile', f'{path}.ext', '-out', f'{path}.pem')
        return
    # Only `openssl ca` takes dates that are over.
    work = f'{path}.ca'
    os.makedirs(work)
    open(f'{work}/index', 'w').close()
    with open(f'{work}/conf', 'w') as f:
        f.write(f'[ca]\ndefault_ca=d\n[d]\ndatabase={work}/index\nnew_certs_dir={work}\nrand_serial=yes\n'
                'default_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n')
    openssl('ca', '-batch', '-config', f'{work}/conf', '-cert', f'{by}.pem', '-keyfile', f'{by}.key',
            '-in', f'{path}.csr', '-out', f'{path}.pem', '-notext', '-extfile', f'{path}.ext',
            '-startdate', dates['start'], '-enddate', dates['end'])


def make(directory):
    own = 'DNS:localhost,IP:127.0.0.1,IP:::1'
    at = lambda name: os.path.join(directory, name)
    authority(at('ca'), 'lapwing test authority')
    authority(at('other'), 'another authority')
    certificate(at('good'), at('ca'), own)
    certificate(at('client'), at('ca'), 'DNS:client')
    certificate(at('wrong-name'), at('ca'), 'DNS:elsewhere.example')
    certificate(at('wrong-ca'), at('other'), own)
    certificate(at('expired'), at('ca'), own, start='200101000000Z', end='200102000000Z')
    os.makedirs(at('hashed'))
    with open(at('ca.pem')) as f, open(at('hashed/ca.pem'), 'w') as copy:
        copy.write(f.read())
    openssl('rehash', at('hashed'))


if __name__ == '__main__':
    make(sys.argv[1])
