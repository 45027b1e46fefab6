package dev.gatun.bindings;

import java.io.IOException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/// Where apt, pip and conda put CUDA libraries. Listing is bounded: a few levels with fixed
/// patterns, at most [#LIMIT] entries each; no tree is walked.
final class LibraryPlaces {
  private static final int LIMIT = 64;

  private static final List<String> SYSTEM =
      List.of(
          "/usr/lib/x86_64-linux-gnu",
          "/usr/local/cuda/lib64",
          "/usr/local/cuda/targets/x86_64-linux/lib",
          "/usr/local/nvidia/lib64",
          "/usr/local/nvidia/lib",
          "/usr/lib64",
          "/usr/lib/wsl/lib",
          "/usr/lib64-nvidia",
          "/run/opengl-driver/lib",
          "/opt/cuda/lib64");

  private static final List<String> PREFIXES =
      List.of("/usr/local", "/usr", "/opt/conda", "/opt/venv", "/opt/miniconda3", "/venv");

  private LibraryPlaces() {}

  /// File paths and, between the explicit folders and the usual ones, bare sonames for the loader.
  static List<String> candidates(List<String> sonames) {
    List<String> result = new ArrayList<>();
    join(paths(System.getProperty("gatun.lib.path")), sonames, result);
    result.addAll(sonames);
    join(usual(), sonames, result);
    return result;
  }

  /// A file like `libcublasLt.so.11` in the usual folders when none of `sonames` is there, or "".
  static String otherMajor(List<String> sonames) {
    String soname = sonames.getFirst();
    String pattern = soname.substring(0, soname.indexOf(".so.") + 4) + "[0-9]*";
    for (Path folder : usual()) {
      for (Path file : list(folder, pattern)) {
        if (sonames.stream().noneMatch(s -> file.getFileName().toString().startsWith(s))) {
          return file.toString();
        }
      }
    }
    return "";
  }

  /// At most [#LIMIT] entries of a folder that match, sorted; empty if it cannot be read.
  static List<Path> list(Path folder, String pattern) {
    List<Path> result = new ArrayList<>();
    if (folder == null || !Files.isDirectory(folder)) {
      return result;
    }
    try (DirectoryStream<Path> entries = Files.newDirectoryStream(folder, pattern)) {
      for (Path entry : entries) {
        if (result.size() == LIMIT) {
          break;
        }
        result.add(entry);
      }
    } catch (IOException | DirectoryIteratorException e) {
      return result; // an unreadable folder holds nothing that could be opened
    }
    result.sort(null);
    return result;
  }

  private static Set<Path> usual() {
    Set<Path> folders = new LinkedHashSet<>(paths(System.getenv("LD_LIBRARY_PATH")));
    List<Path> prefixes = new ArrayList<>();
    for (String name : List.of("VIRTUAL_ENV", "CONDA_PREFIX")) {
      prefixes.addAll(paths(System.getenv(name)));
    }
    for (Path prefix : prefixes) {
      folders.add(prefix.resolve("lib"));
      folders.add(prefix.resolve("targets/x86_64-linux/lib"));
    }
    SYSTEM.forEach(folder -> folders.add(Path.of(folder)));
    PREFIXES.forEach(prefix -> prefixes.add(Path.of(prefix)));
    for (Path home : paths(System.getProperty("user.home"))) {
      prefixes.add(home.resolve(".local"));
      prefixes.add(home.resolve("miniconda3"));
    }
    for (Path prefix : prefixes) {
      addPython(prefix, folders);
    }
    return folders;
  }

  /// `PREFIX/lib/python3*/{site,dist}-packages/nvidia/*/lib`: one folder a library, or `cu13` for
  /// all.
  private static void addPython(Path prefix, Set<Path> folders) {
    for (Path python : list(prefix.resolve("lib"), "python3*")) {
      for (String packages : List.of("site-packages", "dist-packages")) {
        for (Path wheel : list(python.resolve(packages).resolve("nvidia"), "*")) {
          folders.add(wheel.resolve("lib"));
        }
      }
    }
  }

  private static List<Path> paths(String list) {
    List<Path> result = new ArrayList<>();
    for (String part : list == null ? new String[0] : list.split(":")) {
      try {
        if (!part.isBlank()) {
          result.add(Path.of(part).toAbsolutePath());
        }
      } catch (InvalidPathException e) {
        continue; // not a folder on this system
      }
    }
    return result;
  }

  private static void join(Iterable<Path> folders, List<String> sonames, List<String> result) {
    for (Path folder : folders) {
      for (String soname : sonames) {
        result.add(folder.resolve(soname).toString());
      }
    }
  }
}
