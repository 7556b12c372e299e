# Writes a C++ file that holds every file of a folder, as it is and as gzip.
#   cmake -DFROM=FOLDER -DINTO=FILE.cc -P embed.cmake
# The bytes come in by the assembler: a compiler takes seconds for a string of some hundred kilobytes.
cmake_minimum_required(VERSION 3.25)

set(TYPE_html "text/html; charset=utf-8")
set(TYPE_js "text/javascript; charset=utf-8")
set(TYPE_css "text/css; charset=utf-8")
set(TYPE_json "application/json")
set(TYPE_webmanifest "application/manifest+json")
set(TYPE_txt "text/plain; charset=utf-8")
set(TYPE_svg "image/svg+xml")
set(TYPE_png "image/png")
set(TYPE_ico "image/x-icon")
set(TYPE_woff2 "font/woff2")

file(GLOB_RECURSE files RELATIVE "${FROM}" "${FROM}/*")
list(SORT files)
if(NOT "index.html" IN_LIST files)
  message(FATAL_ERROR "${FROM}/index.html is missing: web/build.sh writes it")
endif()
get_filename_component(beside "${INTO}" DIRECTORY)
set(packed "${beside}/gzip")
file(REMOVE_RECURSE "${packed}")
file(MAKE_DIRECTORY "${packed}")
set(symbols "")
set(rows "")
set(number 0)
foreach(file IN LISTS files)
  string(REGEX MATCH "[^.]+$" extension "${file}")
  if(NOT DEFINED TYPE_${extension})
    message(FATAL_ERROR "${FROM}/${file}: src/console/embed.cmake knows no content type for it")
  endif()
  # -n: no name and time in it, so that equal files are equal builds.
  execute_process(COMMAND gzip -9 -n -c "${FROM}/${file}" OUTPUT_FILE "${packed}/${number}" COMMAND_ERROR_IS_FATAL ANY)
  file(SHA256 "${FROM}/${file}" hash)
  string(SUBSTRING "${hash}" 0 32 hash)
  foreach(form IN ITEMS plain gzip)
    set(source "${FROM}/${file}")
    if(form STREQUAL "gzip")
      set(source "${packed}/${number}")
    endif()
    file(SIZE "${source}" ${form}_bytes)
    set(symbol "dormouse_console_${number}_${form}")
    string(APPEND symbols
      "asm(\".pushsection .rodata\\n.globl ${symbol}\\n.hidden ${symbol}\\n${symbol}:\\n\"\n"
      "    \".incbin \\\"${source}\\\"\\n.popsection\\n\");\n"
      "extern \"C\" __attribute__((visibility(\"hidden\"))) const char ${symbol}[];\n")
  endforeach()
  string(APPEND rows
    "    {\"${file}\", \"${TYPE_${extension}}\", \"${hash}\", {dormouse_console_${number}_plain, ${plain_bytes}},\n"
    "     {dormouse_console_${number}_gzip, ${gzip_bytes}}},\n")
  math(EXPR number "${number} + 1")
endforeach()
file(WRITE "${INTO}" "// Made by src/console/embed.cmake.
#include \"console/console.h\"

${symbols}
namespace dormouse::console {
namespace {

const gateway::ConsoleFile kFiles[] = {
${rows}};

}  // namespace

std::span<const gateway::ConsoleFile> files() {
  return kFiles;
}

}  // namespace dormouse::console
")
