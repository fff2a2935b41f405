#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_install - what `make install` leaves behind is enough for a stranger: the build is installed into a
temporary folder (DESTDIR), and programs outside the tree are built against that alone."""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

from tap import case, check, check_eq, run, sh, skip

ROOT = os.environ["WEFT_SOURCE_ROOT"]
BUILD = os.environ["WEFT_BUILD_ROOT"]
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "tools"))
import headers  # noqa: E402

TMP = tempfile.TemporaryDirectory(prefix="weft-install-")
DEST = os.path.join(TMP.name, "dest")
PREFIX = os.path.join(TMP.name, "dest", "usr", "local")
EMBED = os.path.join(ROOT, "examples", "embed")
SAYS = "hello from a fiber of weft 0.1.0\n"


def installed(pattern):
    found = glob.glob(os.path.join(PREFIX, pattern), recursive=True)
    check(found, f"{pattern} was not installed")
    return found[0]


def environment():
    lib = os.path.dirname(installed("lib*/**/libweft.so"))
    os.makedirs(os.path.join(DEST, "usr", "include"), exist_ok=True)  # other libraries' -I, seen through the sysroot
    return dict(os.environ, PKG_CONFIG_PATH=os.path.join(lib, "pkgconfig"), PKG_CONFIG_SYSROOT_DIR=DEST,
                LD_LIBRARY_PATH=lib, DESTDIR="")


def pkg_config(*args):
    return sh(["pkg-config", *args, "weft"], env=environment()).split()


def exported():
    out = sh(["nm", "-D", "--defined-only", installed("lib*/**/libweft.so")])
    return [line.split()[-1] for line in out.splitlines() if line.split()[-2] != "A"]


@case
def installs_into_a_folder():
    sh(["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", DEST])
    for pattern in ("lib*/**/libweft.so.0", "lib*/**/libweft.a", "lib*/**/pkgconfig/weft.pc", "include/weft/weft.h",
                    "share/man/man3/weft_version.3", "share/man/man7/weft_base.7", "bin/weftcast"):
        installed(pattern)
    check(not glob.glob(os.path.join(DEST, "**", "test*"), recursive=True), "tests were installed")


@case
def every_public_header_is_installed_and_no_other():
    have = {os.path.basename(p) for p in glob.glob(os.path.join(PREFIX, "include", "weft", "*"))}
    check_eq(have, {os.path.basename(h.path) for h in headers.read_all()})


@case
def the_library_has_a_versioned_soname():
    out = sh(["objdump", "-p", installed("lib*/**/libweft.so")])
    check(re.search(r"SONAME\s+libweft\.so\.0$", out, re.M), out)
    check(os.path.islink(installed("lib*/**/libweft.so")), "libweft.so is not a link to the versioned file")


@case
def only_versioned_weft_symbols_are_exported():
    wrong = [s for s in exported() if not re.fullmatch(r"weft_[a-z0-9]\w*@@WEFT_0\.\d+", s)]
    check(not wrong, f"exported, but should not be: {wrong}")


@case
def every_declared_function_is_exported_and_every_exported_one_declared():
    have = {s.split("@")[0] for s in exported()}
    declared = {n for h in headers.read_all() for n in h.functions}
    check(not declared - have, f"declared in include/weft, not exported (no WEFT_API?): {sorted(declared - have)}")
    check(not have - declared, f"exported, but no public header declares: {sorted(have - declared)}")


@case
def every_exported_symbol_has_a_block_with_all_sections():
    faults = []
    for header in headers.read_all():
        blocks = {n: b for b in header.blocks for n in b.names}
        for name, line in header.functions.items():
            where = f"{header.name}:{line}: {name}"
            if name not in blocks:
                faults.append(f"{where} has no block")
            else:
                faults += [f"{where} {f}" for f in headers.block_faults(blocks[name], header.declarations[name])]
    check(not faults, "\n".join(faults))


@case
def weft_pc_carries_the_flags_that_fibers_need():
    flags = pkg_config("--cflags")
    for flag in ("-fno-omit-frame-pointer", "-mno-omit-leaf-frame-pointer", "-fstack-clash-protection"):
        check(flag in flags, f"{flag} is missing in {flags}")
    check("-lweft" in pkg_config("--libs"), "no -lweft")


@case
def a_program_builds_with_cc_and_pkg_config():
    out = os.path.join(TMP.name, "hello")
    sh(["cc", "-Wall", "-Wextra", "-Wconversion", "-Werror", os.path.join(EMBED, "meson", "hello.c"), "-o", out,
        *pkg_config("--cflags", "--libs")], env=environment())
    check_eq(sh([out], env=environment()), SAYS)


@case
def the_program_of_the_readme_builds_and_runs():
    out = os.path.join(TMP.name, "squares")
    sh(["cc", os.path.join(ROOT, "examples", "readme_squares.c"), "-o", out, *pkg_config("--cflags", "--libs")], env=environment())
    check_eq(sh([out], env=environment()), "20540\n")


@case
def the_static_library_links_too():
    out = os.path.join(TMP.name, "hello-static")
    libs = ["-l:libweft.a" if f == "-lweft" else f for f in pkg_config("--cflags", "--libs", "--static")]
    sh(["cc", os.path.join(EMBED, "meson", "hello.c"), "-o", out, *libs], env=environment())
    check("libweft" not in sh(["objdump", "-p", out]), "it still wants the shared library")
    check_eq(sh([out]), SAYS)


@case
def a_cxx_program_builds():
    out = os.path.join(TMP.name, "hello-cxx")
    source = os.path.join(TMP.name, "hello.cc")
    with open(source, "w", encoding="utf-8") as f:
        f.write("#include <weft/version.h>\n#include <cstdio>\n"
                "int main() { std::puts(weft_version_string()); return 0; }\n")
    sh(["g++", "-std=c++17", source, "-o", out, *pkg_config("--cflags", "--libs")], env=environment())
    check_eq(sh([out], env=environment()), "0.1.0\n")


@case
def builds_from_cmake():
    if not shutil.which("cmake"):
        skip("cmake is not installed")
    out = os.path.join(TMP.name, "cmake")
    sh(["cmake", "-S", os.path.join(EMBED, "cmake"), "-B", out], env=environment())
    sh(["cmake", "--build", out], env=environment())
    check_eq(sh([os.path.join(out, "hello")], env=environment()), SAYS)


@case
def builds_as_a_meson_subproject():
    """The library's own sources stand as subprojects/weft, as a git submodule would put them."""
    project = os.path.join(TMP.name, "subproject")
    shutil.copytree(os.path.join(EMBED, "meson"), project)
    weft = os.path.join(project, "subprojects", "weft")
    os.makedirs(weft)
    for name in ("meson.build", "meson_options.txt", "src", "include", "tools"):
        os.symlink(os.path.join(ROOT, name), os.path.join(weft, name))
    out = os.path.join(project, "build")
    env = dict(os.environ, PKG_CONFIG_LIBDIR="/nonexistent")
    env.pop("PKG_CONFIG_PATH", None)
    sh(["meson", "setup", out, project, "--wrap-mode=nodownload", "--force-fallback-for=weft", "-Dbuildtype=debug"])
    sh(["ninja", "-C", out, "hello"])
    check_eq(sh([os.path.join(out, "hello")]), SAYS)


@case
def manual_pages_render_without_a_warning():
    if not shutil.which("man"):
        skip("man is not installed")
    pages = sorted(glob.glob(os.path.join(PREFIX, "share", "man", "man*", "*")))
    check(pages, "no pages")
    faults = []
    for page in pages:
        with open(page, encoding="utf-8") as f:
            if f.read(3) == ".so":
                continue
        done = subprocess.run(["man", "--warnings=w", "-E", "UTF-8", "-l", "-Tutf8", page], stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True, env=dict(os.environ, MANWIDTH="120"))
        faults += [f"{os.path.basename(page)}: {line}" for line in done.stderr.splitlines()]
    check(not faults, "\n".join(faults))


run()
