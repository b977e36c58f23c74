// OpenSSL's libcrypto, 3.0 or later, which libmariadb brings along.
#pragma once

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
