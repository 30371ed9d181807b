"""GraphQL made of routes: their answers are its types, their parameters its arguments, their handlers its resolvers."""
