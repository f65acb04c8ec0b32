//! What has happened, durably? PostgreSQL.
