# The sampler stands alone: it needs the plan's types and nothing of the forward pass.
dormouse_library(sampler
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/sampler.cc
  DEPS dormouse_base)

dormouse_test(sampler_test PURE
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/sampler_test.cc
  DEPS dormouse_sampler)

dormouse_bench(sampler_bench
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/sampler_bench.cc
  DEPS dormouse_sampler)
