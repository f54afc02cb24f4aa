-- CustomerOrderFlat: what every customer rented and paid, one row per rental,
-- payment and category of the film.
--
-- Source: the Sakila sample database (`cdc seed`), seven tables, inner joins only.
--   * A rental that nobody paid for, a payment without a rental and a film without
--     a category have no row; a film in two categories has two.
--   * The output key is (RentalId, PaymentId, CategoryId).
--
-- This file is the definition that `cdc run` keeps up to date in every destination
-- and, sent to the source word for word, the question that `cdc verify` compares with.
CREATE VIEW CustomerOrderFlat AS
SELECT
  r.rental_id                              AS RentalId,
  CONCAT(c.first_name, ' ', c.last_name)   AS CustomerName,
  p.amount                                 AS Amount,
  r.rental_date                            AS RentalDate,
  cat.name                                 AS Category,
  p.payment_id                             AS PaymentId,
  cat.category_id                          AS CategoryId
FROM rental r
JOIN customer c       ON c.customer_id = r.customer_id
JOIN payment p        ON p.rental_id = r.rental_id
JOIN inventory i      ON i.inventory_id = r.inventory_id
JOIN film f           ON f.film_id = i.film_id
JOIN film_category fc ON fc.film_id = f.film_id
JOIN category cat     ON cat.category_id = fc.category_id;
