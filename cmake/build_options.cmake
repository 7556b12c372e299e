# Language, warnings and sanitizers: one place, every target.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

set(DORMOUSE_SANITIZE "" CACHE STRING "value of -fsanitize=, empty for none")
option(DORMOUSE_FUZZ "build the *_fuzz.cc targets (clang only)" OFF)

set(CMAKE_CXX_FLAGS_RELEASE "-O3 -DNDEBUG")
set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1 -D_GLIBCXX_ASSERTIONS -DDORMOUSE_DCHECK=1")

add_library(dormouse_options INTERFACE)
target_compile_options(dormouse_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor -Wold-style-cast
  -Wimplicit-fallthrough -Wvla -Werror
  # Dequantisation is bit-exact to the format's definition only when no multiply-add is contracted
  # behind our back; kernels that want FMA ask for it by intrinsic.
  -ffp-contract=off)
target_include_directories(dormouse_options INTERFACE "${CMAKE_SOURCE_DIR}/src")

if(DORMOUSE_SANITIZE)
  target_compile_options(dormouse_options INTERFACE
    -fsanitize=${DORMOUSE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # g++ 12 with sanitizers takes a coroutine frame's own operator new and delete (Asio's) for a mismatched pair, and the
    # members of a variant's other alternatives for uninitialised ones in use.
    target_compile_options(dormouse_options INTERFACE -Wno-mismatched-new-delete -Wno-maybe-uninitialized)
  endif()
  target_link_options(dormouse_options INTERFACE -fsanitize=${DORMOUSE_SANITIZE})
endif()
