//! What does a test stand on? Real RabbitMQ and PostgreSQL, a manual clock, synthetic people.
