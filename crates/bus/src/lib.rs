//! How does a message come in and go out safely? RabbitMQ.
