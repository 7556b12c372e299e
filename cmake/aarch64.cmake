# Arm from an x86 machine: Debian's cross compiler, the libraries as Debian's arm64 packages beside the x86 ones
# (tools/install_deps.sh aarch64). ctest runs what was built under qemu-user with every instruction it knows.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -cpu max)
# pkg-config would answer for x86.
set(ENV{PKG_CONFIG_LIBDIR} /usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig)
