# One object library per instruction set; no other target gets -m flags (ADR 0004). An ISA folder exports exactly one
# object, its KernelTable, and no weak symbol: a weak STL function compiled with AVX could otherwise be the copy the
# linker keeps for the baseline path and trap on an older CPU.

# Kernel files are plain loops over raw pointers: 1,000-fold casts between integer widths are the work itself.
function(dormouse_isa_kernels isa)
  cmake_parse_arguments(ARG "" "" "SOURCES;FLAGS" ${ARGN})
  add_library(dormouse_kernels_${isa} OBJECT ${ARG_SOURCES})
  target_link_libraries(dormouse_kernels_${isa} PRIVATE dormouse_options)
  target_compile_options(dormouse_kernels_${isa} PRIVATE ${ARG_FLAGS} -fno-exceptions -fno-rtti -Wno-old-style-cast)
endfunction()
