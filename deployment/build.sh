#!/usr/bin/env bash
# Builds the image of a connector, or of the service, and pushes it where it is asked to.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: build.sh MODE CONNECTOR [OPTIONS]

MODE       local: build; remote: build and push
CONNECTOR  a folder of connectors/, such as aws, or a program: aws-connector, car-service

  -t TAG         tag of the image (default: the version)
  -v VERSION     version of the connector (default: that of the workspace)
  -r REGISTRY    registry and path to push to (default: the registry of the OpenShift cluster)
  -n NAMESPACE   namespace of the existing platform (default: the current one)
  -d             deploy to the existing platform after the push, with deploy.sh
  -b BUILDER     docker, podman or buildah (default: the first of them that is here)
  -f FEATURES    features of the program to build with, such as temporal
  -p FOLDER      take static programs from this folder, with ca-certificates.crt, and compile nothing
  -m PLATFORMS   such as linux/amd64,linux/arm64; needs docker with buildx, and MODE remote
  -a             attach an SBOM and provenance; needs docker with buildx, and MODE remote

Options may also be written as -t=TAG. STORAGE_OPTIONS has more options for podman and buildah,
such as "--storage-driver vfs".
TEXT
}

fail() {
    echo "build.sh: $*" >&2
    exit 2
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tag='' version='' registry='' namespace='' deploy='' builder='' prebuilt='' platforms='' attest='' features=''
words=()
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) usage; exit 0 ;;
        -d) deploy=yes ;;
        -a) attest=yes ;;
        -[tvrnbfpm] | -[tvrnbfpm]=*)
            flag=${1:1:1}
            if [[ $1 == *=* ]]; then
                value=${1#*=}
            else
                [ $# -ge 2 ] || fail "-$flag needs a value"
                value=$2
                shift
            fi
            case $flag in
                t) tag=$value ;; v) version=$value ;; r) registry=$value ;; n) namespace=$value ;;
                b) builder=$value ;; f) features=$value ;; p) prebuilt=$value ;; m) platforms=$value ;;
            esac
            ;;
        -*) fail "unknown option $1; build.sh --help lists them" ;;
        *) words+=("$1") ;;
    esac
    shift
done
[ ${#words[@]} -eq 2 ] || { usage >&2; fail "needs MODE and CONNECTOR"; }
mode=${words[0]} connector=${words[1]}
[[ $mode == local || $mode == remote ]] || fail "MODE is $mode, not local or remote"

# The programs are those of the workspace: the package has the name of its program.
program=''
for manifest in "$root"/connectors/*/Cargo.toml "$root"/connectors/*/server/Cargo.toml "$root"/service/Cargo.toml; do
    [ -e "$manifest" ] || continue
    name=$(sed -n '0,/^name = /s/^name = "\(.*\)"/\1/p' "$manifest")
    if [[ $name == "$connector" || $name == "$connector-connector" ]]; then
        program=$name
    fi
done
[ -n "$program" ] || fail "there is no connector $connector in $root/connectors"

workspace_version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$root/Cargo.toml")
version=${version:-$workspace_version}
tag=${tag:-$version}
[[ $tag =~ ^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$ ]] || fail "$tag is no tag of an image"
if [ "$mode" = local ] && [ -n "$deploy$platforms$attest" ]; then
    fail "-d, -m and -a are for MODE remote"
fi

if [ -z "$builder" ]; then
    for builder in docker podman buildah none; do
        command -v "$builder" >/dev/null && break
    done
fi
case $builder in
    docker | podman | buildah)
        command -v "$builder" >/dev/null || fail "$builder is not here" ;;
    none) fail "needs docker, podman or buildah" ;;
    *) fail "-b is $builder, not docker, podman or buildah" ;;
esac
if [ -n "$platforms$attest" ] && ! { [ "$builder" = docker ] && docker buildx version >/dev/null 2>&1; }; then
    fail "-m and -a need docker with buildx"
fi
[[ $features =~ ^[a-z0-9,_-]*$ ]] || fail "-f is $features: names of features, with commas between them"
[ -z "$features" ] || [ -z "$prebuilt" ] || fail "-f is for programs that are built here: those of -p have their features already"
if [ -n "$prebuilt" ]; then
    for file in "$program" ca-certificates.crt; do
        [ -f "$prebuilt/$file" ] || fail "$prebuilt has no $file"
    done
fi

cluster_registry=''
if [ "$mode" = remote ] && [ -z "$registry" ]; then
    command -v oc >/dev/null || fail "without -r the image goes to the registry of the OpenShift cluster, which needs oc"
    cluster_registry=$(oc get route default-route -n openshift-image-registry --template='{{ .spec.host }}') \
        || fail "the cluster shows no registry: log in with oc, and ask its admin for the default route of the registry, or name another with -r"
    namespace=${namespace:-$(oc project --short)}
    registry=$cluster_registry/$namespace
fi
image=${registry:-localhost}/$program:$tag

# The same input makes the same image: its times are those of the last commit.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH
revision=${REVISION:-$(git -C "$root" rev-parse HEAD 2>/dev/null || echo unknown)}
options=(
    --file "$root/deployment/docker/Dockerfile"
    --build-arg "CONNECTOR=$program" --build-arg "VERSION=$version" --build-arg "REVISION=$revision"
    --tag "$image"
)
context=$root
[ -z "$features" ] || options+=(--build-arg "FEATURES=$features")
if [ -n "$prebuilt" ]; then
    options+=(--build-arg PROGRAM=prebuilt)
    # Only what belongs into the image, so that no other file changes it.
    context=$(mktemp -d)
    trap 'rm -rf "$context"' EXIT
    cp "$prebuilt/$program" "$prebuilt/ca-certificates.crt" "$context"
    # What programs need that are not static, for tests.
    if [ -d "$prebuilt/libs" ]; then cp -R "$prebuilt/libs" "$context/libs"; else mkdir "$context/libs"; fi
fi
read -ra storage <<<"${STORAGE_OPTIONS:-}"

echo "build.sh: building $image with $builder" >&2
case $builder in
    docker)
        [ -z "$platforms" ] || options+=(--platform "$platforms")
        [ -z "$attest" ] || options+=(--sbom=true --provenance=mode=max)
        if [ -n "$platforms$attest" ]; then
            # Such images cannot be kept here: they are pushed as they are built.
            docker buildx build --push "${options[@]}" "$context" || fail "cannot build and push $image"
        else
            docker build "${options[@]}" "$context"
        fi
        ;;
    podman) podman "${storage[@]}" build --timestamp "$SOURCE_DATE_EPOCH" "${options[@]}" "$context" ;;
    buildah) buildah "${storage[@]}" bud --isolation chroot --timestamp "$SOURCE_DATE_EPOCH" "${options[@]}" "$context" ;;
esac
[ "$mode" = remote ] || { echo "$image"; exit 0; }

if [ -n "$cluster_registry" ]; then
    oc whoami --show-token \
        | "$builder" ${storage[@]+"${storage[@]}"} login --username "$(oc whoami)" --password-stdin "$cluster_registry" >&2
fi
if [ -z "$platforms$attest" ]; then
    "$builder" ${storage[@]+"${storage[@]}"} push "$image" \
        || fail "$image was built, and the registry refused it: log in with \`$builder login ${registry%%/*}\`, and see that the path exists and may be written"
fi
if [ -n "$cluster_registry" ]; then
    "$builder" logout "$cluster_registry" >&2 || true
    # What the cluster itself calls its registry.
    image=image-registry.openshift-image-registry.svc:5000/$namespace/$program:$tag
fi
echo "$image"
if [ -n "$deploy" ]; then
    "$root/deployment/deploy.sh" "$connector" "$image" "$version" ${namespace:+"$namespace"}
fi
