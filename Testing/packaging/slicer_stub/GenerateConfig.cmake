# Slicer writes a package configuration for dependent extensions here; it asks for the extension's name only.
if(NOT EXTENSION_NAME)
  message(FATAL_ERROR "EXTENSION_NAME is not set")
endif()
