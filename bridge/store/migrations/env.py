"""Alembic's entry point; `schema_version` passes the engine, and no file configures it."""

from alembic import context

from bridge.store.schema import metadata

with context.config.attributes["engine"].connect() as connection:
    context.configure(
        connection=connection, target_metadata=metadata, transaction_per_migration=True
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
