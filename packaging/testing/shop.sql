-- What Django makes for a shop, in short: users with tokens, orders with customers.
CREATE TABLE auth_user (id serial PRIMARY KEY, username text NOT NULL UNIQUE, is_active boolean NOT NULL DEFAULT true,
	is_staff boolean NOT NULL DEFAULT false);
CREATE TABLE authtoken_token (key text PRIMARY KEY, user_id integer NOT NULL UNIQUE REFERENCES auth_user);
CREATE TABLE orders_order (id serial PRIMARY KEY, number text NOT NULL, n integer NOT NULL DEFAULT 0,
	customer_id integer REFERENCES auth_user);
INSERT INTO auth_user (username, is_staff) VALUES ('anna', true), ('bob', false);
INSERT INTO auth_user (username) SELECT 'user' || i FROM generate_series(3, 100) i;
INSERT INTO authtoken_token SELECT 'token' || id, id FROM auth_user;
INSERT INTO orders_order (number, customer_id) SELECT 'A-' || i, 2 + i % 99 FROM generate_series(1, 500) i;
