/// What feeds an engine: the chats' logs, and the cursors and generations in the same store.
package struct EngineSource: Sendable {
    let readers: any LogReaders
    let messages: any MessageStore
    let changes: any MessageChanges
    let log: any ChatLog
    let index: any SearchIndex
    let generations: any SearchGenerations

    package init(_ backend: Backend) {
        readers = backend.readers
        messages = backend.messages
        changes = backend.changes
        log = backend.chatLog
        index = backend.searchIndex
        generations = backend.generations
    }

    package init(_ store: some LogReaders & MessageStore & MessageChanges & ChatLog & SearchIndex & SearchGenerations) {
        readers = store
        messages = store
        changes = store
        log = store
        index = store
        generations = store
    }
}
