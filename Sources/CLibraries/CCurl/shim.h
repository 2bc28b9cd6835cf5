// libcurl is loaded at run time, so only its declarations are used. Swift cannot call variadic functions: each function
// here calls one at the address that it is given.
#pragma once
#define CURL_DISABLE_TYPECHECK
#define CURL_DISABLE_DEPRECATION
#include <curl/curl.h>

static inline CURLcode curl_setopt_number(void *setopt, CURL *handle, CURLoption option, long value) {
    return ((__typeof__(&curl_easy_setopt))setopt)(handle, option, value);
}

static inline CURLcode curl_setopt_size(void *setopt, CURL *handle, CURLoption option, curl_off_t value) {
    return ((__typeof__(&curl_easy_setopt))setopt)(handle, option, value);
}

static inline CURLcode curl_setopt_pointer(void *setopt, CURL *handle, CURLoption option, const void *value) {
    return ((__typeof__(&curl_easy_setopt))setopt)(handle, option, value);
}

static inline CURLcode curl_setopt_callback(void *setopt, CURL *handle, CURLoption option, curl_write_callback value) {
    return ((__typeof__(&curl_easy_setopt))setopt)(handle, option, value);
}

static inline CURLcode curl_getinfo_number(void *getinfo, CURL *handle, CURLINFO info, long *value) {
    return ((__typeof__(&curl_easy_getinfo))getinfo)(handle, info, value);
}

static inline CURLcode curl_message_result(const CURLMsg *message) { return message->data.result; }

static inline long curl_everything(void) { return CURL_GLOBAL_DEFAULT; }
