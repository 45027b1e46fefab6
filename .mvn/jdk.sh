# Sourced by mvnw and gatun: sets JAVA_HOME to a JDK 25 or newer, or says what to install and exits.
# Looks at JAVA_HOME, JAVA25_HOME, PATH, and the places where packages, SDKMAN, Homebrew and IDEs put JDKs.

gatun_jdk_version() { # JDK home -> feature number, or nothing
  [ -x "$1/bin/javac" ] && [ -r "$1/release" ] || return 0
  sed -n 's/^JAVA_VERSION="\([0-9]*\).*/\1/p' "$1/release"
}

gatun_find_jdk() {
  gatun_path_java=$(command -v javac 2>/dev/null || true)
  if [ -n "$gatun_path_java" ]; then
    gatun_path_java=$(dirname "$(dirname "$(readlink -f "$gatun_path_java" 2>/dev/null || echo "$gatun_path_java")")")
  fi
  set +f
  for gatun_home in "${JAVA_HOME:-}" "${JAVA25_HOME:-}" "${JAVA_HOME_25_X64:-}" "$gatun_path_java" \
    /usr/lib/jvm/* /usr/java/* /opt/java/* /opt/jdk* /opt/*/jdk* "${HOME:-}"/.sdkman/candidates/java/* "${HOME:-}"/.jdks/* \
    /opt/homebrew/opt/openjdk*/libexec/openjdk.jdk/Contents/Home /Library/Java/JavaVirtualMachines/*/Contents/Home; do
    [ -n "$gatun_home" ] || continue
    gatun_version=$(gatun_jdk_version "$gatun_home")
    if [ -n "$gatun_version" ] && [ "$gatun_version" -ge 25 ]; then
      echo "$gatun_home"
      return 0
    fi
  done
  return 0
}

gatun_found=$(gatun_find_jdk)
if [ -z "$gatun_found" ]; then
  echo "Gatun needs a JDK 25 or newer and found none: install one (for example Eclipse Temurin 25) or set JAVA_HOME to it." >&2
  exit 1
fi
JAVA_HOME=$gatun_found
export JAVA_HOME
# Maven's own libraries still use APIs that a new JDK warns about.
MAVEN_OPTS="--sun-misc-unsafe-memory-access=allow --enable-native-access=ALL-UNNAMED ${MAVEN_OPTS:-}"
export MAVEN_OPTS
