#!/usr/bin/env bash
# MariaDB: Korean text in composed and in decomposed form.
#
# Unicode calls U+AC01 (a syllable) and U+1100 U+1161 U+11A8 (its three parts) canonically equivalent, and every UCA
# collation must compare such text as equal (UTS #10, C1). MariaDB's uca1400 collations do so for é in one character and
# in two. For Hangul they do not, at any strength: a syllable has a weight of its own. So a unique index takes the same
# Korean name twice, and `=` and `LIKE` do not find what was typed on a system that decomposes, or came from the name of a
# file of one. Normalise such text (NFC) before it is stored and looked for.
#
# Seen with MariaDB 10.11.19 of Debian 12 (amd64), whose packages it downloads; it needs apt and a system of that release.
# It prints
#
#   composed = decomposed: é 1 at as_cs, Hangul 0 at ai_ci
#   a unique index takes both
#
# Ends with 0 while this is so, and with 1 when the behaviour has changed.
set -euo pipefail
folder=$(mktemp -d)
server=""
trap '[ -z "$server" ] || { kill "$server"; wait "$server" || true; }; rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -qq mariadb-server-core=1:10.11.19-0+deb12u1 mariadb-client-core=1:10.11.19-0+deb12u1 \
    libmariadb3=1:10.11.19-0+deb12u1 liburing2=2.3-3
for package in *.deb; do dpkg -x "$package" root; done
export LD_LIBRARY_PATH="$folder/root/usr/lib/x86_64-linux-gnu"
mkdir data
# With an empty system schema: it needs no accounts.
root/usr/sbin/mariadbd --no-defaults --user="$(id -un)" --basedir="$folder/root/usr" --datadir="$folder/data" \
    --socket="$folder/socket" --skip-networking --skip-grant-tables --innodb=OFF --default-storage-engine=MyISAM \
    --pid-file="$folder/pid" >log 2>&1 &
server=$!
sql() { root/usr/bin/mariadb --no-defaults --socket="$folder/socket" --default-character-set=utf8mb4 -N -e "$1"; }
for _ in $(seq 100); do sql "SELECT 1" >/dev/null 2>&1 && break; kill -0 "$server" || { cat log; exit 1; }; sleep 0.1; done

latin=$(sql "SELECT _utf8mb4 x'C3A9' = _utf8mb4 x'65CC81' COLLATE utf8mb4_uca1400_as_cs")
hangul=$(sql "SELECT _utf8mb4 x'EAB081' = _utf8mb4 x'E18480E185A1E186A8' COLLATE utf8mb4_uca1400_ai_ci")
echo "composed = decomposed: é $latin at as_cs, Hangul $hangul at ai_ci"
rows=$(sql "
    CREATE DATABASE d; USE d;
    CREATE TABLE names (name VARCHAR(20) COLLATE utf8mb4_uca1400_ai_ci UNIQUE);
    INSERT IGNORE INTO names VALUES (x'EAB081'), (x'E18480E185A1E186A8');
    SELECT COUNT(*) FROM names")
[ "$rows" = 2 ] && echo "a unique index takes both"
[ "$latin $hangul $rows" = "1 0 2" ]
