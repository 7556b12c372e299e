# Kernels for NVIDIA cards: machine code of every architecture we serve, embedded in the worker. Nothing of CUDA is
# needed to run it but the driver, and nothing to build a worker without it (DORMOUSE_CUDA off, the default).

option(DORMOUSE_CUDA "compile the GPU kernels into the worker (needs nvcc)" OFF)
# T4; A100; A10 and RTX 30; L4 and RTX 40; H100 and H200 (90a: with wgmma, which 90 has not). No PTX: it would be compiled at a worker's first start.
set(DORMOUSE_CUDA_ARCHS "75;80;86;89;90a" CACHE STRING "architectures to compile for, ascending")

# Compiles each FILE.cu of the current folder to FILE.fatbin beside its build files and sets `out` to their paths.
# -fmad=false: a sum is rounded as it is written, as on the CPU. Not compressed: a start reads only its own card's part.
function(dormouse_cuda_fatbins out)
  find_program(DORMOUSE_NVCC nvcc HINTS ENV CUDA_PATH ENV CUDA_HOME /usr/local/cuda PATH_SUFFIXES bin)
  if(NOT DORMOUSE_NVCC)
    message(FATAL_ERROR "DORMOUSE_CUDA is on and no nvcc is to be found: install the CUDA toolkit (13.0, or 12) and put "
                        "its bin folder into PATH (or name it with -DDORMOUSE_NVCC=...), or configure without DORMOUSE_CUDA")
  endif()
  set(gencode "")
  foreach(arch IN LISTS DORMOUSE_CUDA_ARCHS)
    list(APPEND gencode -gencode "arch=compute_${arch},code=sm_${arch}")
  endforeach()
  set(fatbins "")
  foreach(source IN LISTS ARGN)
    cmake_path(GET source STEM name)
    set(fatbin "${CMAKE_CURRENT_BINARY_DIR}/${name}.fatbin")
    add_custom_command(OUTPUT "${fatbin}"
      COMMAND "${DORMOUSE_NVCC}" -std=c++20 -O3 -fmad=false --expt-relaxed-constexpr --fatbin --no-compress
              ${gencode} -Werror all-warnings "-I${CMAKE_SOURCE_DIR}/src" -MD -MF "${fatbin}.d" -o "${fatbin}" "${CMAKE_CURRENT_SOURCE_DIR}/${source}"
      DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/${source}"
      DEPFILE "${fatbin}.d"
      COMMENT "nvcc ${source}"
      VERBATIM)
    list(APPEND fatbins "${fatbin}")
  endforeach()
  set(${out} "${fatbins}" PARENT_SCOPE)
endfunction()
