# Everything third-party, from Debian 12 packages (docs/adr/0008-dependencies.md). `SYSTEM` keeps our warnings out of
# their headers. A target here is linked PRIVATE or PUBLIC by the folder allowed to use it (ARCHITECTURE.md, "Layers").

find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(Boost 1.81 REQUIRED COMPONENTS json)
find_package(PkgConfig REQUIRED)
pkg_check_modules(utf8proc REQUIRED IMPORTED_TARGET libutf8proc)
find_package(GTest REQUIRED)
find_package(benchmark REQUIRED)
