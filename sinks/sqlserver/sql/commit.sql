-- Makes a batch durable, its rows and the stream's Mark together.
COMMIT TRANSACTION;
