# One object library per instruction set; no other target gets -m flags (ADR 0004). An ISA folder exports exactly one
# object, its KernelTable, and no weak symbol: a weak STL function compiled with AVX could otherwise be the copy the
# linker keeps for the baseline path and trap on an older CPU.

# Kernel files are plain loops over raw pointers: 1,000-fold casts between integer widths are the work itself.
# -O2 at least in every preset: inline functions of block headers must not survive as weak symbols, and tests that walk
# a model with the scalar table stay fast under sanitizers.
function(dormouse_isa_kernels isa)
  cmake_parse_arguments(ARG "" "" "SOURCES;FLAGS" ${ARGN})
  add_library(dormouse_kernels_${isa} OBJECT ${ARG_SOURCES})
  target_link_libraries(dormouse_kernels_${isa} PRIVATE dormouse_options)
  target_compile_options(dormouse_kernels_${isa} PRIVATE ${ARG_FLAGS} -fno-exceptions -fno-rtti -Wno-old-style-cast)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # GCC 12's AVX-512 intrinsics pass an undefined vector as the unused merge operand and then warn about it.
    target_compile_options(dormouse_kernels_${isa} PRIVATE -Wno-uninitialized -Wno-maybe-uninitialized)
  endif()
  if(CMAKE_BUILD_TYPE STREQUAL "Debug")
    target_compile_options(dormouse_kernels_${isa} PRIVATE -O2)
  endif()
  # The widest tables take minutes to compile with checks of undefined behaviour in every line of intrinsics. Their
  # memory stays checked; the arithmetic of their indices is that of the scalar and AVX2 tables, which stay checked whole.
  if(DORMOUSE_SANITIZE MATCHES "undefined" AND isa MATCHES "^(avx512|amx)$")
    target_compile_options(dormouse_kernels_${isa} PRIVATE -fno-sanitize=undefined)
  endif()
endfunction()

# Tests isa_symbols_*: read the objects with nm. Sanitizers add symbols of their own, so it exists in plain builds only.
function(dormouse_isa_symbols_test)
  if(DORMOUSE_SANITIZE)
    return()
  endif()
  foreach(isa IN LISTS ARGN)
    add_test(NAME isa_symbols_${isa}
      COMMAND ${CMAKE_COMMAND} -DNM=${CMAKE_NM} "-DOBJECTS=$<JOIN:$<TARGET_OBJECTS:dormouse_kernels_${isa}>,|>"
              -P ${CMAKE_SOURCE_DIR}/cmake/isa_symbols.cmake)
    set_tests_properties(isa_symbols_${isa} PROPERTIES LABELS pure)
  endforeach()
endfunction()
