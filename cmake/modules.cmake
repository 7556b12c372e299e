# How a folder becomes a library, a test, a benchmark, a fuzz target.
#   dormouse_library(text SOURCES bpe.cc ... DEPS dormouse_gguf ...)
#   dormouse_test(text_test SOURCES bpe_test.cc ... DEPS dormouse_text [SLOW] [PURE] [ASIO])
# PURE marks tests of I/O-free code: test.sh builds exactly these under ASan+UBSan (target `pure_tests`).
# ASIO gives its files Asio and GoogleTest as one precompiled header.

# Test code runs once and briefly: what it tests is optimised, it is not (a third less of the compiler's time).
# -fPIC in programs too: a precompiled header serves only what is compiled the same way.
set(DORMOUSE_TEST_OPTIONS -fPIC $<$<CONFIG:Release>:-O1>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # As in build_options.cmake: g++ 12 at -O1, and a coroutine frame's own operator delete.
  list(APPEND DORMOUSE_TEST_OPTIONS -Wno-mismatched-new-delete)
endif()

add_custom_target(pure_tests)
add_custom_target(all_benches)

function(dormouse_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(dormouse_${name} STATIC ${ARG_SOURCES})
  target_link_libraries(dormouse_${name} PUBLIC dormouse_options ${ARG_DEPS})
endfunction()

# What a compiler reads seconds long in each file of these tests, read once.
file(CONFIGURE OUTPUT "${CMAKE_BINARY_DIR}/asio_tests.cc" CONTENT "")
add_library(dormouse_asio_tests OBJECT EXCLUDE_FROM_ALL "${CMAKE_BINARY_DIR}/asio_tests.cc")
target_link_libraries(dormouse_asio_tests PRIVATE dormouse_options Boost::headers GTest::gtest)
target_compile_options(dormouse_asio_tests PRIVATE ${DORMOUSE_TEST_OPTIONS})
target_precompile_headers(dormouse_asio_tests PRIVATE "${CMAKE_SOURCE_DIR}/src/http/asio.h" <gtest/gtest.h>)

function(dormouse_test name)
  cmake_parse_arguments(ARG "SLOW;PURE;ASIO" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_compile_options(${name} PRIVATE ${DORMOUSE_TEST_OPTIONS})
  if(ARG_ASIO)
    target_precompile_headers(${name} REUSE_FROM dormouse_asio_tests)
  endif()
  target_link_libraries(${name} PRIVATE dormouse_options ${ARG_DEPS} GTest::gtest GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE DORMOUSE_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  add_test(NAME ${name} COMMAND ${name})
  set(labels "")
  if(ARG_SLOW)
    list(APPEND labels slow)
  endif()
  if(ARG_PURE)
    list(APPEND labels pure)
    add_dependencies(pure_tests ${name})
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${labels}" TIMEOUT 600)
endfunction()

# What several tests share. No program links it, so it is built only for them.
function(dormouse_test_library name)
  cmake_parse_arguments(ARG "ASIO" "" "SOURCES;DEPS" ${ARGN})
  dormouse_library(${name} SOURCES ${ARG_SOURCES} DEPS ${ARG_DEPS} GTest::gtest)
  target_compile_options(dormouse_${name} PRIVATE ${DORMOUSE_TEST_OPTIONS})
  if(ARG_ASIO)
    target_precompile_headers(dormouse_${name} REUSE_FROM dormouse_asio_tests)
  endif()
  set_target_properties(dormouse_${name} PROPERTIES EXCLUDE_FROM_ALL ON)
endfunction()

function(dormouse_bench name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} EXCLUDE_FROM_ALL ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE dormouse_options ${ARG_DEPS} benchmark::benchmark)
  add_dependencies(all_benches ${name})
endfunction()

# One libFuzzer entry (LLVMFuzzerTestOneInput) per file. Outside the fuzz preset the same file is built with a
# replay main, so that a target that no longer compiles fails every build and the corpus in tests/corpus runs as a test.
function(dormouse_fuzz name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  if(DORMOUSE_FUZZ)
    add_executable(${name} ${ARG_SOURCES})
    target_compile_options(${name} PRIVATE -fsanitize=fuzzer)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    target_link_libraries(${name} PRIVATE dormouse_options ${ARG_DEPS})
  else()
    add_executable(${name} ${ARG_SOURCES} "${CMAKE_SOURCE_DIR}/tests/fuzz_replay_main.cc")
    target_link_libraries(${name} PRIVATE dormouse_options ${ARG_DEPS})
    add_test(NAME ${name}_replay COMMAND ${name} "${CMAKE_SOURCE_DIR}/tests/corpus/${name}")
    set_tests_properties(${name}_replay PROPERTIES LABELS pure TIMEOUT 120)
    add_dependencies(pure_tests ${name})
  endif()
endfunction()
