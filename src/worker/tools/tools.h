// The offline commands of dormouse-worker: they make model files and measure. Each is a whole command line: parse,
// work, report. Exit codes: 0 done, 1 failure or interrupted (nothing is left behind), 2 wrong usage. Threads: call
// from main; they use threads of their own and set SIGINT and SIGTERM while they run.
#pragma once

namespace dormouse::worker {

// convert DIR OUT --type F16|BF16|Q8_0|Q4_K_M|Q2_K: a Hugging Face folder becomes a GGUF file.
[[nodiscard]] int run_convert(int argc, char** argv);

// quantize IN OUT --type F16|Q8_0|Q4_K_M|Q2_K. argv[0] is the command's name as shown in its help.
[[nodiscard]] int run_quantize(int argc, char** argv);

// synth --config qwen3-4b --type Q4_K_M --seed 1 OUT
[[nodiscard]] int run_synth(int argc, char** argv);

// pack FILE [--packed-dir D]: the kernels' order of the weights, once; serve makes it by itself where it is missing.
[[nodiscard]] int run_pack(int argc, char** argv);

// bench FILE: what the engine does on this machine, as a table or JSON.
[[nodiscard]] int run_bench(int argc, char** argv);

// doctor: what this program can compute on.
[[nodiscard]] int run_doctor(int argc, char** argv);

// perplexity FILE --text T [--kl-against FILE2|self]: how well a model predicts a text, and what its arithmetic loses.
[[nodiscard]] int run_perplexity(int argc, char** argv);

// replay FILE --prompt P --answer A: what guesses (speculation) do for the speed of a given answer.
[[nodiscard]] int run_replay(int argc, char** argv);

}  // namespace dormouse::worker
