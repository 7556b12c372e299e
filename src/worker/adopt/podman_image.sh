#!/bin/sh
# podman_image.sh FOLDER PROGRAM: makes FOLDER/engine, a podman with its storage in FOLDER, and in it the image
# localhost/dormouse-test:1 of PROGRAM and its libraries. Exits with 77 and says why where containers do not run here.
# The options are for machines that are containers themselves: no cgroups v2 (runc can without), no right to raise limits.
dir=$1
program=$2
skip() { echo "$*"; exit 77; }
podman=$(command -v podman) || skip "podman is not installed"
[ "$(id -u)" = 0 ] || skip "this is not root"
runtime=$(command -v runc || command -v crun) || skip "neither runc nor crun is installed"
limit=$(ulimit -Hn)
cat > "$dir/engine" <<END
#!/bin/sh
[ "\$1" != run ] || { shift; set -- run --ulimit nofile=$limit:$limit --ulimit nproc=1024:1024 "\$@"; }
exec $podman --root $dir/storage --runroot $dir/run --storage-driver=vfs --cgroup-manager=cgroupfs --runtime $runtime "\$@"
END
chmod +x "$dir/engine"
libraries=$(ldd "$program" 2>/dev/null | grep -o '/[^ ]*')
tar -chf "$dir/image.tar" --absolute-names --transform "s,^$program\$,/program," "$program" $libraries || skip "no image"
timeout 60 "$dir/engine" import -q --change 'ENTRYPOINT ["/program"]' "$dir/image.tar" localhost/dormouse-test:1 \
  > "$dir/import.log" 2>&1 || skip "podman import: $(tail -n 1 "$dir/import.log")"
timeout -k 1 20 "$dir/engine" run --rm --init --network=host --entrypoint /program localhost/dormouse-test:1 --die \
  > "$dir/try.log" 2>&1 < /dev/null
[ $? = 3 ] || skip "podman run: $(tail -n 1 "$dir/try.log")"
