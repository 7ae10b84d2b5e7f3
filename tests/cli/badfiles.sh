# shellcheck shell=bash disable=SC2034,SC2154 # used, or set, where this is sourced
# tests/cli/badfiles.sh - what is wrong with a configuration, a mesh file or a key, and what has to be said about it.
# Set before: dir, of the files of host a; key_a, key_b: public keys; dir.key: its private key as it should be.

# good: the files of host a as they should be, one host per line.
good() {
	rm -rf "$dir"/{lapwing.json,mesh.json,real.*}
	chmod 755 "$dir"
	cat >"$dir"/lapwing.json <<-END
		{
		  "mesh_file": "$dir/mesh.json",
		  "private_key_file": "$dir/private.key",
		  "log": {"level": "info"}
		}
	END
	cat >"$dir"/mesh.json <<-END
		{
		  "mesh": "test",
		  "interface": {"name": "wt0", "listen_port": 51820},
		  "hosts": [
		    {"name": "a", "public_key": "$key_a", "addresses": ["100.64.0.1/32"], "endpoints": ["10.0.0.1:51820"]},
		    {"name": "b", "public_key": "$key_b", "addresses": ["100.64.0.2/32"], "endpoints": ["10.0.0.2:51820"]}
		  ]
		}
	END
	rm -f "$dir"/private.key
	cp -p "$dir.key" "$dir"/private.key
}

# first_errors FILE: the lines that say more than what is normal, without time or the program's name. That a machine has no user
# of the daemon's name is none of a file's faults.
first_errors() { sed -nE 's/^(lapwingd: |[0-9: -]+ )(error|warn): //p; s/^lapwing: //p' "$1" | grep -v '^hint: \|^there is no user lapwing' || true; }

# said PATTERN FILE STATUS: exactly one complaint, and it is this one; status 13.
said() {
	local lines
	mapfile -t lines < <(first_errors "$2")
	printf '%s\n' "status $3" "${lines[@]}"
	[ "$3" = 13 ] && [ ${#lines[@]} = 1 ] && [[ ${lines[0]} =~ $1 ]]
}

# The table: what is wrong; who can see it; what is said about it, as a pattern; how it is made in that folder.
# all: a start, both checks, a running daemon. start: not the checks. ask: not the running daemon.
names=() whos=() patterns=() makes=()
bad() { names+=("$1") whos+=("$2") patterns+=("$3") makes+=("$4"); }

mesh="^$dir/mesh.json: "
config="^$dir/lapwing.json: "
key="^$dir/private.key: "
bad "a repeated host name" all "${mesh}line 6: .*name: another host is called a" "sed -i '6s/\"b\"/\"a\"/' mesh.json"
bad "a repeated key" ask "${mesh}line 6: .*public_key: another host has this key" "sed -i '6s,$key_b,$key_a,' mesh.json"
bad "a repeated address" all "${mesh}line 6: .*addresses.0.: .*taken" "sed -i '6s/100.64.0.2/100.64.0.1/' mesh.json"
bad "a short key" ask "${mesh}line 6: .*public_key: .*44 characters" "sed -i '6s,$key_b,${key_b:4},' mesh.json"
bad "an unknown key of a host" ask "${mesh}line 6: hosts.1.: key \"adresses\" is unknown" "sed -i '6s/addresses/adresses/' mesh.json"
bad "a repeated member" ask "${mesh}line 6: .*\"name\" is repeated" "sed -i '6s/{/{\"name\": \"c\", /' mesh.json"
bad "a name that is a number" ask "${mesh}line 6: hosts.1..name: a string" "sed -i '6s/\"b\"/6/' mesh.json"
bad "a network as a host address" ask "${mesh}line 6: .*addresses.0.: .*single" "sed -i '6s,2/32,0/24,' mesh.json"
bad "an endpoint without port" ask "${mesh}line 6: .*endpoints.0.: .*address:port" "sed -i '6s/10.0.0.2:51820/10.0.0.2/' mesh.json"
bad "a port too large" ask "${mesh}line 3: interface.listen_port: must be 1 to 65535" "sed -i '3s/51820/70000/' mesh.json"
bad "a comma too few" ask "${mesh}line 6: .*comma" "sed -i '5s/,\$//' mesh.json"
bad "half a mesh file" all "${mesh}line [56]: .*end" "truncate -s 330 mesh.json"
bad "text behind the mesh" ask "${mesh}line 9: text behind" "echo x >>mesh.json"
bad "an empty mesh file" all "${mesh}line 1: " ": >mesh.json"
bad "a mesh file of zeros" ask "${mesh}line 1: " "head -c 4096 /dev/zero >mesh.json"
bad "control characters in a name" ask "${mesh}line 6: .*control|${mesh}line 6: .*characters" "sed -i '6s/\"b\"/\"b\\x1b[31m\"/' mesh.json"
bad "our own key not in the mesh" all "${mesh}.*no host has this host's public key [A-Za-z0-9+/]{43}=\$" "sed -i '5d' mesh.json"
bad "a mesh file that others may write" all "${mesh}unsafe owner or mode" "chmod 666 mesh.json"
bad "a mesh file that a group may write" ask "${mesh}unsafe owner or mode" "chmod 664 mesh.json"
bad "a mesh file of another user" ask "${mesh}unsafe owner or mode" "chown daemon mesh.json"
bad "a directory that others may write" ask "^$dir/(mesh|lapwing).json: unsafe owner or mode" "chmod 777 $dir"
bad "a mesh file that is a link" all "${mesh}it is a symbolic link" "mv mesh.json real.json && ln -s real.json mesh.json"
bad "a mesh file that is a FIFO" ask "${mesh}it is not a regular file" "rm mesh.json && mkfifo mesh.json"
bad "no mesh file" all "${mesh}No such file" "rm mesh.json"
bad "a mesh file over its limit" all "${mesh}.*larger than 64 MiB" "truncate -s $((64 * 1024 * 1024 + 1)) mesh.json"

bad "an unknown key of the configuration" all "${config}line 2: key \"meshfile\" is unknown" "sed -i '2s/mesh_file/meshfile/' lapwing.json"
bad "a path that is a number" ask "${config}line 2: mesh_file: a string" "sed -i '2s/:.*/: 1,/' lapwing.json"
bad "an unknown log level" ask "${config}line 4: log.level: one of" "sed -i '4s/info/loud/' lapwing.json"
bad "a wrong type deeper in" ask "${config}line 4: policy.max_peers: a number" "sed -i '4s/.*/\"policy\": {\"max_peers\": \"7\"}/' lapwing.json"
bad "more hosts than policy.max_peers" all "${mesh}line 6: .*more than 1 hosts .policy.max_peers" "sed -i '4s/.*/\"policy\": {\"max_peers\": 1}/' lapwing.json"
bad "an empty configuration" all "${config}line 1: " ": >lapwing.json"
bad "a configuration that others may write" ask "${config}unsafe owner or mode" "chmod 646 lapwing.json"
bad "a configuration that is a link" ask "${config}it is a symbolic link" "mv lapwing.json real.json && ln -s real.json lapwing.json"
bad "a configuration that is a FIFO" ask "${config}it is not a regular file" "rm lapwing.json && mkfifo lapwing.json"
bad "no configuration" ask "${config}No such file" "rm lapwing.json"
bad "a configuration over its limit" ask "${config}.*larger than 256 KiB" "head -c $((256 * 1024)) /dev/zero | tr '\\0' ' ' >>lapwing.json"

bad "a private key that everybody may read" all "${key}unsafe owner or mode" "chmod 604 private.key"
bad "a private key that a group may write" ask "${key}unsafe owner or mode" "chmod 620 private.key"
bad "a private key that is a link" ask "${key}it is a symbolic link" "mv private.key real.key && ln -s real.key private.key"
bad "a private key that is none" all "${key}there is no key in it" "echo secret >private.key"
bad "no private key" start "${key}there is no private key" "rm private.key"
