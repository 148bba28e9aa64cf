amount > 0
amount / 2 + quantity * -1 >= 10 and not (store = 'a' or store is null)
case when amount > 100 then 'big' when amount is null then null else 'small' end
coalesce(amount, quantity, 0) between 1 and 10
store in ('a', 'b', null)
store like 'a%'
cast(amount as decimal(10, 2))
amount::bigint % 7 = 3
lower(store) || '-' || quantity
abs(amount) <> -1.5e300
at >= timestamp '2024-05-01 10:00:00' and at < timestamp '2024-05-01' + interval '2 hours'
"odd name" = 1 and ok
starts_with(store, 'a') and length(store) > 2
