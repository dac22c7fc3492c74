#!/usr/bin/env bash
# Tells the existing platform to run a connector: writes its Connector resource and applies it,
# after a back-up, and beside a script that brings back what was there.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: deploy.sh CONNECTOR IMAGE VERSION [NAMESPACE | -n NAMESPACE]

CONNECTOR  name of the connector, such as aws
IMAGE      its image, with registry, path and tag
VERSION    version of the connector as the platform counts it, such as 1.0.0.0
NAMESPACE  namespace of the platform (default: the current one)

The back-up goes to backup/TIME below the current folder, or below BACKUP_DIR.
TEXT
}

fail() {
    echo "deploy.sh: $*" >&2
    exit 2
}

namespace='' words=()
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) usage; exit 0 ;;
        -n) [ $# -ge 2 ] || fail "-n needs a value"; namespace=$2; shift ;;
        -n=*) namespace=${1#*=} ;;
        -*) fail "unknown option $1; deploy.sh --help lists them" ;;
        *) words+=("$1") ;;
    esac
    shift
done
if [ ${#words[@]} -eq 4 ] && [ -z "$namespace" ]; then
    namespace=${words[3]}
    unset 'words[3]'
fi
[ ${#words[@]} -eq 3 ] || { usage >&2; fail "needs CONNECTOR, IMAGE and VERSION"; }
connector=${words[0]} image=${words[1]} version=${words[2]}
[[ $connector =~ ^[a-z0-9]([a-z0-9-]*[a-z0-9])?$ ]] || fail "CONNECTOR is $connector: lower-case letters, digits and - only"
[[ $image =~ ^[a-z0-9][A-Za-z0-9.-]*(:[0-9]+)?(/[a-z0-9._-]+)+(:[A-Za-z0-9_][A-Za-z0-9._-]*)?(@sha256:[0-9a-f]{64})?$ ]] \
    || fail "IMAGE is $image: it needs registry, path and tag, such as registry.example.com/car/aws-connector:0.1.0"
[[ $image =~ :[^/]+$ ]] || fail "IMAGE is $image: it has neither tag nor digest"
[[ $version =~ ^[0-9]+(\.[0-9]+){0,3}([-+][A-Za-z0-9.-]+)?$ ]] || fail "VERSION is $version: numbers with points, such as 1.0.0.0"
command -v kubectl >/dev/null || fail "kubectl is not here"

kube() {
    kubectl ${namespace:+--namespace "$namespace"} "$@"
}
kind=connectors.connector.isc.ibm.com
for verb in get create patch delete; do
    [ "$(kube auth can-i "$verb" "$kind" 2>/dev/null || true)" = yes ] \
        || fail "you may not $verb $kind${namespace:+ in $namespace}: log in to the cluster, or ask its admin for that right"
done
# A cluster's own name for its registry means nothing outside of it.
if command -v skopeo >/dev/null && [[ $image != *.svc:* && -z ${SKIP_IMAGE_CHECK:-} ]]; then
    skopeo inspect --raw "docker://$image" >/dev/null \
        || fail "the registry does not show $image: push it first, or log in; SKIP_IMAGE_CHECK=1 goes on without looking"
fi

name=car-$connector
folder=${BACKUP_DIR:-backup}/$(date -u +%Y%m%dT%H%M%SZ)-$$
mkdir -p "$folder"
# What belongs to one life of the object would be in the way of the next.
kube get "$kind" "$name" --ignore-not-found -o yaml \
    | sed -e '/^  \(resourceVersion\|uid\|creationTimestamp\|generation\):/d' -e '/^status:/,$d' \
    >"$folder/before.yaml"
cat >"$folder/new.yaml" <<TEXT
apiVersion: connector.isc.ibm.com/v1
kind: Connector
metadata:
  name: $name
spec:
  type: "CAR"
  version: "$version"
  creator: "car-connectors"
  image: "$image"
TEXT
cat >"$folder/restore.sh" <<TEXT
#!/usr/bin/env bash
# Brings back the $name that was there before $(date -u +%Y-%m-%dT%H:%M:%SZ).
set -euo pipefail
cd "\$(dirname "\${BASH_SOURCE[0]}")"
if [ -s before.yaml ]; then
    kubectl ${namespace:+--namespace $namespace }apply -f before.yaml
else
    kubectl ${namespace:+--namespace $namespace }delete $kind $name --ignore-not-found
fi
TEXT
chmod +x "$folder/restore.sh"

kube apply --dry-run=server -f "$folder/new.yaml" >/dev/null \
    || fail "the cluster refuses $folder/new.yaml; nothing was changed"
kube apply -f "$folder/new.yaml" || fail "it is unknown whether $name was changed; $folder/restore.sh brings back what was there"
echo "$name runs $image; $folder/restore.sh brings back what was there"
