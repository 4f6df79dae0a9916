'use strict'
// The part of Redis that karma needs, inside Haraka's own process.
//
// karma hears of other plugins' results through Redis publish/subscribe and opens one Redis connection for each SMTP
// connection. Here a published result is handed to karma directly: its rules all run, and neither Redis nor its sockets
// count against Haraka. History across connections is answered as empty, because wasmail's karma keeps none either.

const plugins = exports.haraka_require('plugins')
const connections = new Map()

exports.register = function () {
    for (const hook of ['init_master', 'init_child']) this.register_hook(hook, 'provide')
    this.register_hook('connect_init', 'subscribe')
    this.register_hook('disconnect', 'unsubscribe', 100)
}

exports.provide = (next, server) => {
    server.notes.redis = new InProcess()
    next()
}

exports.subscribe = (next, connection) => {
    connections.set(connection.uuid, connection)
    connection.notes.redis = server.notes.redis
    next()
}

exports.unsubscribe = (next, connection) => {
    connections.delete(connection.uuid)
    next()
}

// Channels are `result-<connection uuid>` or `result-<connection uuid>.<transaction>`.
function deliver(channel, message) {
    const uuid = channel.slice('result-'.length).split('.')[0]
    const connection = connections.get(uuid)
    if (connection) plugins.registered_plugins.karma.check_result(connection, message)
}

class InProcess {
    async publish(channel, message) {
        deliver(channel, message)
    }
    async hGetAll() {
        return {}
    }
    async hIncrBy() {}
    async pUnsubscribe() {}
    async quit() {}
    async ping() {
        return 'PONG'
    }
    multi() {
        const chain = { hSet: () => chain, hIncrBy: () => chain, expire: () => chain, exec: async () => [] }
        return chain
    }
}
