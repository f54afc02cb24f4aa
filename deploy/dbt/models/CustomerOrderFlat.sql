{#
  The SELECT of schemas/views/customer_order_flat.sql, word for word but for two things: tables are dbt sources, and names that
  are not lower case are quoted, as PostgreSQL would fold them.
#}
SELECT
  r.rental_id                              AS "RentalId",
  CONCAT(c.first_name, ' ', c.last_name)   AS "CustomerName",
  p.amount                                 AS "Amount",
  r.rental_date                            AS "RentalDate",
  cat.name                                 AS "Category",
  p.payment_id                             AS "PaymentId",
  cat.category_id                          AS "CategoryId"
FROM {{ source('sakila', 'rental') }} r
JOIN {{ source('sakila', 'customer') }} c       ON c.customer_id = r.customer_id
JOIN {{ source('sakila', 'payment') }} p        ON p.rental_id = r.rental_id
JOIN {{ source('sakila', 'inventory') }} i      ON i.inventory_id = r.inventory_id
JOIN {{ source('sakila', 'film') }} f           ON f.film_id = i.film_id
JOIN {{ source('sakila', 'film_category') }} fc ON fc.film_id = f.film_id
JOIN {{ source('sakila', 'category') }} cat     ON cat.category_id = fc.category_id
