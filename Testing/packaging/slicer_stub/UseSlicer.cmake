# The macros an extension calls, with the contract of the real ones: arguments, copies in the build tree, one
# install rule for the whole destination folder. Stricter in two points: unknown arguments and missing files stop it.
set(EXTENSION_NAME "${PROJECT_NAME}")

function(_stub_copy_rules target outputs)
  set(copies)
  foreach(file IN LISTS ARGN)
    if(IS_ABSOLUTE "${file}")
      message(FATAL_ERROR "${target}: ${file} must be relative to SOURCE_DIR, or it is installed elsewhere")
    endif()
    set(source "${stub_SOURCE_DIR}/${file}")
    if(NOT EXISTS "${source}")
      message(FATAL_ERROR "${target}: ${source} does not exist")
    endif()
    set(copy "${stub_DESTINATION_DIR}/${file}")
    add_custom_command(OUTPUT "${copy}" DEPENDS "${source}" COMMAND ${CMAKE_COMMAND} -E copy "${source}" "${copy}")
    list(APPEND copies "${copy}")
  endforeach()
  set(${outputs} "${copies}" PARENT_SCOPE)
endfunction()

macro(ctkMacroCompilePythonScript)
  cmake_parse_arguments(stub "NO_INSTALL_SUBDIR;GLOBAL_TARGET" "TARGET_NAME;SOURCE_DIR;DESTINATION_DIR;INSTALL_DIR"
    "SCRIPTS;RESOURCES" ${ARGN})
  if(stub_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "ctkMacroCompilePythonScript: unknown arguments ${stub_UNPARSED_ARGUMENTS}")
  endif()
  foreach(argument TARGET_NAME SCRIPTS DESTINATION_DIR INSTALL_DIR)
    if(NOT stub_${argument})
      message(FATAL_ERROR "ctkMacroCompilePythonScript: ${argument} is missing")
    endif()
  endforeach()
  if(NOT stub_SOURCE_DIR)
    set(stub_SOURCE_DIR "${CMAKE_CURRENT_SOURCE_DIR}")
  endif()
  _stub_copy_rules(${stub_TARGET_NAME} stub_copies ${stub_SCRIPTS} ${stub_RESOURCES})
  add_custom_target(${stub_TARGET_NAME} ALL DEPENDS ${stub_copies})
  set(stub_installed "${stub_DESTINATION_DIR}")
  if(stub_NO_INSTALL_SUBDIR)
    string(APPEND stub_installed "/")
  endif()
  install(DIRECTORY "${stub_installed}" DESTINATION "${stub_INSTALL_DIR}" COMPONENT RuntimeLibraries
    USE_SOURCE_PERMISSIONS)
endmacro()

macro(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(module "WITH_GENERIC_TESTS;WITH_SUBDIR;VERBOSE" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  if(module_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "slicerMacroBuildScriptedModule: unknown arguments ${module_UNPARSED_ARGUMENTS}")
  endif()
  foreach(argument NAME SCRIPTS)
    if(NOT module_${argument})
      message(FATAL_ERROR "slicerMacroBuildScriptedModule: ${argument} is missing")
    endif()
  endforeach()
  ctkMacroCompilePythonScript(
    TARGET_NAME ${module_NAME}
    SCRIPTS "${module_SCRIPTS}"
    RESOURCES "${module_RESOURCES}"
    SOURCE_DIR "${CMAKE_CURRENT_SOURCE_DIR}"
    DESTINATION_DIR "${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR}"
    INSTALL_DIR "${Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR}"
    NO_INSTALL_SUBDIR
    )
endmacro()
