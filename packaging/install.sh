#!/bin/sh
# packaging/install.sh DESTDIR PREFIX BUILD: puts a build in place. Needs no privileges when
# DESTDIR is a folder of the caller's. An existing configuration stays as it is.
set -eu
umask 022 # the daemons' user reads what root installs

destdir=$1
prefix=$2
build=$3
here=$(dirname "$(readlink -f "$0")")
root=$(dirname "$here")
libdir=$prefix/lib/atoll
docdir=$prefix/share/doc/atoll

put() { # mode source target
    install -D -m "$1" "$2" "$destdir$3"
}

put 0755 "$build/bin/atoll" "$prefix/bin/atoll"
for program in server monitor worker launcher agent archive; do
    put 0755 "$build/bin/atoll-$program" "$libdir/atoll-$program"
done
(cd "$root/images" && find . -type f) | while IFS= read -r file; do
    mode=0644
    [ ! -x "$root/images/$file" ] || mode=0755
    put "$mode" "$root/images/$file" "$libdir/images/$file"
done
(cd "$root/docs" && find . -type f) | while IFS= read -r file; do
    put 0644 "$root/docs/$file" "$docdir/$file"
done
put 0644 "$root/LICENSE" "$docdir/LICENSE"

for unit in "$here"/systemd/*; do
    name=$(basename "$unit")
    put 0644 "$unit" "/etc/systemd/system/$name"
    sed -i "s#@LIBDIR@#$libdir#g; s#@DOCDIR@#$docdir#g" "$destdir/etc/systemd/system/$name"
done
put 0644 "$here/atoll.sysusers" /etc/sysusers.d/atoll.conf
put 0644 "$here/atoll.tmpfiles" /etc/tmpfiles.d/atoll.conf

completion=$prefix/share/bash-completion/completions/atoll
install -d -m 0755 "$destdir$(dirname "$completion")"
"$build/bin/atoll" completion bash >"$destdir$completion"

if [ ! -e "$destdir/etc/atoll/config.toml" ]; then
    install -d -m 0755 "$destdir/etc/atoll"
    "$build/bin/atoll" config --toml >"$destdir/etc/atoll/config.toml"
fi

# On the running system the user and the folders exist at once; elsewhere the next boot makes them.
if [ -z "$destdir" ] && [ -d /run/systemd/system ]; then
    systemd-sysusers atoll.conf
    systemd-tmpfiles --create atoll.conf
    systemctl daemon-reload
fi
echo "Atoll is installed. What a service needs besides: $docdir/operations.md"
