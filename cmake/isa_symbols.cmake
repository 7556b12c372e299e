# Each ISA object exports exactly one symbol, a constant object (R, or D with relocations), and nothing weak.
# Usage: cmake -DNM=nm "-DOBJECTS=a.o|b.o" -P isa_symbols.cmake
string(REPLACE "|" ";" OBJECTS "${OBJECTS}")
foreach(object IN LISTS OBJECTS)
  execute_process(COMMAND ${NM} -C --defined-only --extern-only ${object}
    OUTPUT_VARIABLE symbols RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "nm failed on ${object}")
  endif()
  string(STRIP "${symbols}" symbols)
  string(REPLACE "\n" ";" symbols "${symbols}")
  list(LENGTH symbols count)
  if(NOT count EQUAL 1 OR NOT symbols MATCHES "^[0-9a-f]+ [RD] dormouse::kernels::k[A-Za-z0-9]+Kernels$")
    message(FATAL_ERROR "${object}: want exactly one exported KernelTable, got: ${symbols}")
  endif()
  message(STATUS "${object}: ${symbols}")
endforeach()
