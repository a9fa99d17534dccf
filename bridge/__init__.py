"""The Jira-to-Aha! webhook bridge.

Nine floors. Imports go downward only, and modules on one floor do not import each other:

    commands  cli                             the command line
    programs  serve, demo                     a parent with its processes; a demonstration
    doors     web, sandbox                    HTTP: the bridge's own, and a stand-in for Aha!
    wiring    app, logs, processes            builds a bridge; logging; restarts child processes
    verbs     intake, delivery, desk          accept an event; deliver it; operators' actions
    files     config                          settings and mapping files
    edges     sources, destinations, store    senders, receivers, the database
    core      core                            pure decisions: no I/O, clock, random or log
    words     model, errors, timing           the nouns; errors by what to do about them; intervals

The path of one event: `web.asgi` (or `web.hooks` under another server) -> `intake` ->
`sources.<kind>.read` -> `core.plan` -> `store.inbox.accept` (read, `core.dedup`, write) -> 200;
then `delivery.worker` -> `store.queue` -> `core.mapping` -> `destinations.<kind>`.
"""
