// The C client library of MariaDB and MySQL (libmariadb 3.3 or later); pkg-config knows where it is.
#pragma once

#include <mysql.h>
#include <errmsg.h>
