# SPDX-License-Identifier: Apache-2.0
# Toolchain: programs for Graviton, built on x86-64 Debian 12 with its cross compiler and the -dev packages of arm64 (dpkg --add-architecture arm64).
#   cmake --preset aarch64 && cmake --build --preset aarch64
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
# Packages of this machine's own architecture are no help, headers of all architectures are.
set(CMAKE_SYSTEM_IGNORE_PREFIX_PATH /usr/lib/x86_64-linux-gnu)
set(CMAKE_IGNORE_PATH /usr/lib/x86_64-linux-gnu /usr/lib/x86_64-linux-gnu/cmake)
set(ENV{PKG_CONFIG_LIBDIR} /usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig)
# Where it is there, it lets the programs say what they complete.
find_program(qemu_user NAMES qemu-aarch64-static qemu-aarch64)
if(qemu_user)
  set(CMAKE_CROSSCOMPILING_EMULATOR ${qemu_user})
endif()
set(CPACK_DEBIAN_PACKAGE_ARCHITECTURE arm64)
set(CPACK_RPM_PACKAGE_ARCHITECTURE aarch64)
