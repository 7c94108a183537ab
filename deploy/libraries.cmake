# SPDX-License-Identifier: Apache-2.0
# The libraries of others, each in two ways: as a shared object, which tests and tools link, and as an archive, which the programs that are
# shipped link (property CULPRIT_PORTABLE), so that one package runs on every distribution with glibc 2.34. Which it is, the program at the
# end of the chain decides: libraries of ours in between are compiled once. Include before find_package, which leaves targets alone that exist.
#
# Out of it stay glibc, libgcc (its unwinder asks the loader), libsystemd, of which there is no archive and which every host with systemd has, and the
# collector's libcurl, whose archive asks for Kerberos, which has none.
set(CULPRIT_PORTABLE_DEFAULT ON)
if(CULPRIT_ASAN OR CULPRIT_TSAN OR CULPRIT_FUZZ OR CULPRIT_TIDY)
  set(CULPRIT_PORTABLE_DEFAULT OFF)
endif()
option(CULPRIT_PORTABLE "Programs carry the libraries that a host may lack or have in another version" ${CULPRIT_PORTABLE_DEFAULT})

# culprit_archives(VARIABLE NAME...): the full paths of libNAME.a.
function(culprit_archives variable)
  set(found)
  foreach(name IN LISTS ARGN)
    find_library(CULPRIT_ARCHIVE_${name} lib${name}.a)
    mark_as_advanced(CULPRIT_ARCHIVE_${name})
    if(NOT CULPRIT_ARCHIVE_${name})
      message(FATAL_ERROR "lib${name}.a was not found: its -dev package of Debian 12 has it (deploy/install-packages.sh build). "
                          "For programs of this machine alone: -DCULPRIT_PORTABLE=OFF")
    endif()
    list(APPEND found ${CULPRIT_ARCHIVE_${name}})
  endforeach()
  set(${variable} "${found}" PARENT_SCOPE)
endfunction()

# culprit_two_ways(TARGET SHARED ITEM... ARCHIVES NAME... [BEFORE OBJECTS]): what linking TARGET means. BEFORE: an object library of ours
# that stands in for parts of the archive.
function(culprit_two_ways target)
  cmake_parse_arguments(ARG "" "BEFORE" "SHARED;ARCHIVES" ${ARGN})
  if(NOT TARGET ${target})
    add_library(${target} INTERFACE IMPORTED GLOBAL)
  endif()
  if(CULPRIT_PORTABLE)
    culprit_archives(archives ${ARG_ARCHIVES})
    if(ARG_BEFORE)
      list(PREPEND archives $<TARGET_OBJECTS:${ARG_BEFORE}>)
    endif()
    set(portable $<BOOL:$<TARGET_PROPERTY:CULPRIT_PORTABLE>>)
    set_property(TARGET ${target} PROPERTY INTERFACE_LINK_LIBRARIES "$<${portable}:${archives}>" "$<$<NOT:${portable}>:${ARG_SHARED}>")
  else()
    set_property(TARGET ${target} PROPERTY INTERFACE_LINK_LIBRARIES "${ARG_SHARED}")
  endif()
endfunction()

find_library(CULPRIT_SHARED_crypto crypto REQUIRED)
find_library(CULPRIT_SHARED_ssl ssl REQUIRED)
find_library(CULPRIT_SHARED_z z REQUIRED)
find_library(CULPRIT_SHARED_sqlite3 sqlite3 REQUIRED)
find_library(CULPRIT_SHARED_protobuf protobuf REQUIRED)
culprit_two_ways(OpenSSL::Crypto SHARED ${CULPRIT_SHARED_crypto} ARCHIVES crypto)
culprit_two_ways(OpenSSL::SSL SHARED ${CULPRIT_SHARED_ssl} ${CULPRIT_SHARED_crypto} ARCHIVES ssl crypto)
culprit_two_ways(ZLIB::ZLIB SHARED ${CULPRIT_SHARED_z} ARCHIVES z)
culprit_two_ways(SQLite::SQLite3 SHARED ${CULPRIT_SHARED_sqlite3} ARCHIVES sqlite3)
culprit_two_ways(protobuf::libprotobuf SHARED ${CULPRIT_SHARED_protobuf} Threads::Threads ARCHIVES protobuf z)

find_package(OpenSSL REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(ZLIB REQUIRED)
find_package(Protobuf REQUIRED)
find_package(gRPC CONFIG REQUIRED)
find_package(spdlog CONFIG REQUIRED)

# Each has its own way of naming the libraries below it, so what stands behind a shared object is left to that.
foreach(library libarchive libbpf libevent libmaxminddb libpcap libseccomp libzstd)
  pkg_check_modules(${library} REQUIRED IMPORTED_TARGET ${library})
  get_target_property(shared PkgConfig::${library} INTERFACE_LINK_LIBRARIES)
  string(REPLACE "lib" "" name ${library})
  set(more)
  if(library STREQUAL libbpf)
    set(more elf z)
  elseif(library MATCHES "^lib(archive|pcap)$")
    set(more BEFORE culprit_portable_${name})
  endif()
  culprit_two_ways(PkgConfig::${library} SHARED ${shared} ARCHIVES ${name} ${more})
endforeach()

# gRPC's targets are shared objects by their kind, so they stand behind a name of ours. Of Abseil there are some sixty archives.
set(grpc_archives grpc++ grpc upb address_sorting re2 cares gpr ssl crypto z)
if(CULPRIT_PORTABLE)
  culprit_archives(one_of_abseil absl_base)
  get_filename_component(folder ${one_of_abseil} DIRECTORY)
  file(GLOB abseil RELATIVE ${folder} ${folder}/libabsl_*.a)
  list(TRANSFORM abseil REPLACE "^lib(.*)\\.a$" "\\1")
  # More than once: a linker that reads archives in order meets them in an order that suits none.
  list(APPEND grpc_archives ${abseil} ${abseil})
endif()
culprit_two_ways(culprit_grpc SHARED gRPC::grpc++ ARCHIVES ${grpc_archives})
culprit_two_ways(culprit_absl_time SHARED absl::time ARCHIVES ${abseil} ${abseil})
culprit_two_ways(culprit_absl_maps SHARED absl::flat_hash_map absl::node_hash_map ARCHIVES ${abseil} ${abseil})

# spdlog and fmt come as headers and shared objects; the archives are compiled from the headers (common/portable).
foreach(library spdlog fmt)
  add_library(culprit_${library} INTERFACE IMPORTED GLOBAL)
  set_property(TARGET culprit_${library} PROPERTY INTERFACE_COMPILE_DEFINITIONS
               $<TARGET_PROPERTY:${library}::${library},INTERFACE_COMPILE_DEFINITIONS>)
  set(portable $<AND:$<BOOL:${CULPRIT_PORTABLE}>,$<BOOL:$<TARGET_PROPERTY:CULPRIT_PORTABLE>>>)
  set_property(TARGET culprit_${library} PROPERTY INTERFACE_LINK_LIBRARIES
               $<IF:${portable},culprit_portable_log,${library}::${library}>)
endforeach()
set_property(TARGET culprit_spdlog APPEND PROPERTY INTERFACE_LINK_LIBRARIES Threads::Threads culprit_fmt)
