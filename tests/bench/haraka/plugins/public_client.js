'use strict'
// Makes the load's client look like a stranger from the Internet.
//
// It connects from loopback, and Haraka's karma, helo.checks and early_talker step aside for private addresses: without
// this they would measure nothing. Answering the reverse lookup here keeps DNS out of the figures; no row asks DNS.

exports.hook_connect_init = (next, connection) => {
    connection.remote.is_private = false
    connection.remote.is_local = false
    next()
}

exports.hook_lookup_rdns = (next) => next(OK, 'client.example.org')
